#include "services/http/connection.h"

#include <algorithm>
#include <array>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <exception>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "services/http/request_reader.h"
#include "services/http/wire.h"

namespace braid::services::http {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

constexpr size_t kReadBytes = 16 << 10;
// What a client may send ahead of the reply to its request.
constexpr size_t kMaxAheadBytes = 64 << 10;
// A write is cut into such pieces, each with its own deadline.
constexpr size_t kWriteBytes = 256 << 10;
// Of what a client still sends after its last reply, so much is waited for:
// closing with unread bytes would take the reply back.
constexpr absl::Duration kLinger = absl::Milliseconds(500);
constexpr size_t kMaxLingerBytes = 256 << 10;

// Everything happens on its strand.
template <typename Stream>
class StreamConnection final : public Connection {
 public:
  template <typename... Arguments>
  StreamConnection(std::shared_ptr<ConnectionHost> host, tcp::socket socket,
                   Arguments&&... arguments)
      : host_(std::move(host)),
        options_(host_->options),
        stream_(std::move(socket), std::forward<Arguments>(arguments)...),
        timer_(stream_.get_executor()) {}
  ~StreamConnection() override { ReleaseBody(); }

  auto executor() { return stream_.get_executor(); }

  void Start() override {
    asio::dispatch(executor(), [self = Self()] { self->Begin(); });
  }
  void Close() override {
    asio::post(executor(), [self = Self()] { self->CloseNow(); });
  }
  void CloseIfIdle() override {
    asio::post(executor(), [self = Self()] {
      if (self->idle_) self->CloseNow();
    });
  }
  void CloseUnlessServing() override {
    asio::post(executor(), [self = Self()] {
      const bool reads =
          self->state_ == State::kHead || self->state_ == State::kBody;
      if (reads) self->CloseNow();
    });
  }
  bool idle() const override { return idle_; }

  void Post(std::function<void()> work) override {
    // When it is closed, nothing of it changes any more, and there may be
    // nobody left to run what is posted.
    closed_ ? work() : asio::post(executor(), std::move(work));
  }
  uint64_t request_number() const override { return request_number_; }
  void Abandon() override;
  void Send(Reply reply) override;
  void StartStream(Reply head) override;
  void WriteStream(std::string bytes, std::function<void(bool)> done) override;
  void EndStream() override;
  void OnGone(std::function<void()> gone) override;

 private:
  enum class State {
    kHead,       // reads a request's head
    kBody,       // and body
    kHandling,   // the handler has it
    kReplying,   // a whole reply is written
    kStreaming,  // a stream of pieces is
    kClosing,    // the last reply is out
    kClosed
  };
  static constexpr bool kEncrypted = !std::is_same_v<Stream, tcp::socket>;

  std::shared_ptr<StreamConnection> Self() {
    return std::static_pointer_cast<StreamConnection>(shared_from_this());
  }
  tcp::socket& socket() {
    if constexpr (kEncrypted) {
      return stream_.next_layer();
    } else {
      return stream_;
    }
  }
  bool CanWrite() const {
    return state_ == State::kReplying || state_ == State::kStreaming;
  }

  void Begin();
  void NextRequest();
  void Read();
  void Feed();
  void BeginBody();
  bool ReserveBody(size_t bytes);
  void ReleaseBody();
  void Dispatch();
  Reply Prepare(Reply reply);
  // Answers what is no request, and closes.
  void Refuse(int status);
  void WriteBytes(std::string bytes);
  void WritePiece();
  void Written();
  void ReplyEnded();
  void Finish();
  void Linger();
  void CloseNow();
  void Gone();
  void SetDeadline(absl::Duration after);
  void DeadlinePassed();

  const std::shared_ptr<ConnectionHost> host_;
  const ServerOptions& options_;
  Stream stream_;
  asio::steady_timer timer_;
  uint64_t deadline_ = 0;  // counts deadlines: only the newest one passes
  State state_ = State::kHead;
  std::atomic<bool> idle_ = false;
  std::atomic<bool> closed_ = false;  // state_ is kClosed
  bool first_ = true;

  std::array<char, kReadBytes> chunk_;
  bool reading_ = false;  // into chunk_
  std::string in_;        // read and not parsed
  size_t lingered_ = 0;
  std::optional<RequestReader> request_;
  uint64_t request_number_ = 0;
  size_t reserved_ = 0;  // of the host's body bytes
  bool keep_alive_ = false;
  bool head_only_ = false;   // the request was HEAD
  bool old_client_ = false;  // HTTP/1.0
  std::string path_;

  std::string out_;
  size_t written_ = 0;
  bool writing_ = false;
  bool continuing_ = false;  // `100 Continue` is being written
  // The piece after the one that is being written, and its callback; the
  // callback of the one that is.
  std::optional<std::pair<std::string, std::function<void(bool)>>> next_;
  std::function<void(bool)> done_;
  bool ending_ = false;   // EndStream was called
  bool cut_off_ = false;  // the stream ends without an end
  std::function<void()> gone_;
};

template <typename Stream>
void StreamConnection<Stream>::Begin() {
  if constexpr (kEncrypted) {
    SetDeadline(options_.head_timeout);
    stream_.async_handshake(asio::ssl::stream_base::server,
                            [self = Self()](const error_code& error) {
                              if (self->state_ == State::kClosed) return;
                              error ? self->CloseNow() : self->NextRequest();
                            });
  } else {
    NextRequest();
  }
}

template <typename Stream>
void StreamConnection<Stream>::NextRequest() {
  state_ = State::kHead;
  request_.emplace(options_.max_head_bytes, options_.max_body_bytes);
  ending_ = false;
  gone_ = nullptr;
  idle_ = !first_ && in_.empty();
  SetDeadline(idle_ ? options_.keep_alive : options_.head_timeout);
  first_ = false;
  if (idle_ && (host_->draining || host_->NeedsRoom())) {
    CloseNow();
  } else if (in_.empty()) {
    Read();
  } else {
    Feed();
  }
}

template <typename Stream>
void StreamConnection<Stream>::Read() {
  if (reading_) return;
  reading_ = true;
  stream_.async_read_some(
      asio::buffer(chunk_), [self = Self()](const error_code& error, size_t n) {
        self->reading_ = false;
        switch (self->state_) {
          case State::kHead:
          case State::kBody:
            if (error) {
              self->CloseNow();
              break;
            }
            if (self->idle_) {
              self->idle_ = false;
              self->SetDeadline(self->options_.head_timeout);
            }
            self->in_.append(self->chunk_.data(), n);
            self->Feed();
            break;
          case State::kHandling:
          case State::kReplying:
          case State::kStreaming:
            if (error) {
              // It may have closed its half alone and still read: what is being
              // written is tried.
              self->keep_alive_ = false;
              self->Gone();
              break;
            }
            self->in_.append(self->chunk_.data(), n);
            if (self->in_.size() < kMaxAheadBytes) self->Read();
            break;
          case State::kClosing:
            self->lingered_ += n;
            if (error || self->lingered_ > kMaxLingerBytes) {
              self->CloseNow();
            } else {
              self->Read();
            }
            break;
          case State::kClosed:
            break;
        }
      });
}

template <typename Stream>
void StreamConnection<Stream>::Feed() {
  while (true) {
    const RequestReader::Progress progress = request_->Read(&in_);
    if (progress == RequestReader::Progress::kRefused) {
      return Refuse(request_->refusal());
    }
    if (!ReserveBody(request_->body_bytes())) return Refuse(503);
    if (progress == RequestReader::Progress::kMore) return Read();
    if (progress == RequestReader::Progress::kDone) return Dispatch();
    if (options_.max_body_bytes == 0) return Dispatch();
    BeginBody();
  }
}

template <typename Stream>
void StreamConnection<Stream>::BeginBody() {
  state_ = State::kBody;
  SetDeadline(options_.body_timeout);
  if (!request_->expects_continue()) return;
  // So short that it nearly always fits into the socket's buffer.
  static constexpr char kContinue[] = "HTTP/1.1 100 Continue\r\n\r\n";
  continuing_ = true;
  asio::async_write(stream_, asio::buffer(kContinue, sizeof(kContinue) - 1),
                    [self = Self()](const error_code&, size_t) {
                      self->continuing_ = false;
                    });
}

template <typename Stream>
bool StreamConnection<Stream>::ReserveBody(size_t bytes) {
  if (options_.max_body_bytes == 0 || bytes <= reserved_) return true;
  const size_t more = bytes - reserved_;
  const size_t held = host_->body_bytes_held.fetch_add(more) + more;
  reserved_ = bytes;
  return held <= options_.max_total_body_bytes;
}

template <typename Stream>
void StreamConnection<Stream>::ReleaseBody() {
  host_->body_bytes_held.fetch_sub(reserved_);
  reserved_ = 0;
}

template <typename Stream>
void StreamConnection<Stream>::Dispatch() {
  keep_alive_ = options_.keep_alive > absl::ZeroDuration() &&
                options_.max_body_bytes != 0 && request_->keep_alive();
  old_client_ = request_->http_1_0();
  head_only_ = request_->head_only();
  Request request = request_->Take();
  if (request.path.empty()) return Refuse(400);
  request.encrypted = kEncrypted;
  path_ = request.path;
  state_ = State::kHandling;
  ++request_number_;
  ++deadline_;
  timer_.cancel();
  {
    const auto exchange = MakeExchange(Self(), std::move(request));
    try {
      host_->handler(exchange);
    } catch (const std::exception&) {
      // Nothing of it goes out: it may name files or hosts. The exchange is
      // dropped, which is an answer.
    }
  }
  // Whoever watches the connection learns that the client is gone. Bodies that
  // are not read would look like the next request.
  if (options_.max_body_bytes != 0) Read();
}

template <typename Stream>
Reply StreamConnection<Stream>::Prepare(Reply reply) {
  if (host_->draining) keep_alive_ = false;
  if (options_.on_reply) options_.on_reply(path_, reply.status);
  path_.clear();
  return reply;
}

template <typename Stream>
void StreamConnection<Stream>::Abandon() {
  if (state_ == State::kHandling) {
    Send({.status = 500, .body = "internal error\n"});
  } else if (state_ == State::kStreaming && !ending_) {
    cut_off_ = true;
    EndStream();
  }
}

template <typename Stream>
void StreamConnection<Stream>::Send(Reply reply) {
  if (state_ != State::kHandling) return;
  reply = Prepare(std::move(reply));
  state_ = State::kReplying;
  std::string bytes = WriteHead(reply, Framing::kLength, keep_alive_);
  if (!head_only_) bytes += reply.body;
  WriteBytes(std::move(bytes));
}

template <typename Stream>
void StreamConnection<Stream>::StartStream(Reply head) {
  if (state_ != State::kHandling) return;
  if (old_client_) keep_alive_ = false;
  head = Prepare(std::move(head));
  state_ = State::kStreaming;
  WriteBytes(WriteHead(head,
                       old_client_ ? Framing::kUntilClose : Framing::kChunked,
                       keep_alive_));
}

template <typename Stream>
void StreamConnection<Stream>::WriteStream(std::string bytes,
                                           std::function<void(bool)> done) {
  if (state_ != State::kStreaming || ending_) {
    if (done) done(false);
    return;
  }
  if (bytes.empty() || head_only_) {
    if (done) done(true);
    return;
  }
  if (!old_client_) bytes = WriteChunk(bytes);
  if (writing_) {
    next_.emplace(std::move(bytes), std::move(done));
    return;
  }
  done_ = std::move(done);
  WriteBytes(std::move(bytes));
}

template <typename Stream>
void StreamConnection<Stream>::EndStream() {
  if (state_ != State::kStreaming || ending_) return;
  ending_ = true;
  if (!writing_) Written();
}

template <typename Stream>
void StreamConnection<Stream>::OnGone(std::function<void()> gone) {
  if (state_ == State::kClosed) {
    gone();
  } else if (state_ == State::kHandling || CanWrite()) {
    gone_ = std::move(gone);
  }
}

template <typename Stream>
void StreamConnection<Stream>::Refuse(int status) {
  keep_alive_ = false;
  head_only_ = false;
  state_ = State::kHandling;
  Send({.status = status, .content_type = ""});
}

template <typename Stream>
void StreamConnection<Stream>::WriteBytes(std::string bytes) {
  // A client that has not even taken that.
  if (continuing_) return CloseNow();
  out_ = std::move(bytes);
  written_ = 0;
  writing_ = true;
  WritePiece();
}

template <typename Stream>
void StreamConnection<Stream>::WritePiece() {
  SetDeadline(options_.write_timeout);
  asio::async_write(stream_,
                    asio::buffer(out_.data() + written_,
                                 std::min(kWriteBytes, out_.size() - written_)),
                    [self = Self()](const error_code& error, size_t n) {
                      if (self->state_ == State::kClosed) return;
                      if (error) return self->CloseNow();
                      self->written_ += n;
                      if (self->written_ < self->out_.size())
                        return self->WritePiece();
                      self->writing_ = false;
                      ++self->deadline_;
                      self->Written();
                    });
}

template <typename Stream>
void StreamConnection<Stream>::Written() {
  out_.clear();
  if (std::function<void(bool)> done = std::exchange(done_, nullptr)) {
    done(true);
  }
  if (state_ == State::kReplying) return ReplyEnded();
  if (state_ != State::kStreaming || writing_) return;
  if (next_.has_value()) {
    std::string bytes = std::move(next_->first);
    done_ = std::move(next_->second);
    next_.reset();
    WriteBytes(std::move(bytes));
  } else if (cut_off_) {
    CloseNow();
  } else if (ending_) {
    state_ = State::kReplying;
    if (old_client_ || head_only_) return ReplyEnded();
    WriteBytes(kLastChunk);
  }
}

template <typename Stream>
void StreamConnection<Stream>::ReplyEnded() {
  gone_ = nullptr;
  ReleaseBody();
  keep_alive_ && !host_->draining ? NextRequest() : Finish();
}

template <typename Stream>
void StreamConnection<Stream>::Finish() {
  state_ = State::kClosing;
  SetDeadline(kLinger);
  if constexpr (kEncrypted) {
    stream_.async_shutdown([self = Self()](const error_code&) {
      if (self->state_ == State::kClosing) self->Linger();
    });
  } else {
    Linger();
  }
}

template <typename Stream>
void StreamConnection<Stream>::Linger() {
  error_code error;
  socket().shutdown(tcp::socket::shutdown_send, error);
  if (error || kEncrypted) return CloseNow();
  Read();
}

template <typename Stream>
void StreamConnection<Stream>::CloseNow() {
  if (state_ == State::kClosed) return;
  state_ = State::kClosed;
  idle_ = false;
  ++deadline_;
  error_code ignored;
  timer_.cancel(ignored);
  socket().close(ignored);
  ReleaseBody();
  Gone();
  if (std::function<void(bool)> done = std::exchange(done_, nullptr)) {
    done(false);
  }
  if (next_.has_value()) {
    const std::function<void(bool)> done = std::move(next_->second);
    next_.reset();
    if (done) done(false);
  }
  closed_ = true;
  host_->Remove(this);
}

template <typename Stream>
void StreamConnection<Stream>::Gone() {
  if (const std::function<void()> gone = std::exchange(gone_, nullptr)) gone();
}

template <typename Stream>
void StreamConnection<Stream>::SetDeadline(absl::Duration after) {
  const uint64_t deadline = ++deadline_;
  timer_.expires_after(
      std::chrono::nanoseconds(absl::ToInt64Nanoseconds(after)));
  timer_.async_wait([self = Self(), deadline](const error_code& error) {
    if (!error && self->deadline_ == deadline) self->DeadlinePassed();
  });
}

template <typename Stream>
void StreamConnection<Stream>::DeadlinePassed() {
  const bool reads = state_ == State::kHead || state_ == State::kBody;
  // Before the handshake is over nothing can be said.
  if (reads && !idle_ && request_.has_value()) {
    Refuse(408);
  } else {
    CloseNow();
  }
}

}  // namespace

std::shared_ptr<Connection> MakeConnection(
    std::shared_ptr<ConnectionHost> host, tcp::socket socket,
    const std::shared_ptr<SSL_CTX>& tls) {
  if (tls == nullptr) {
    return std::make_shared<StreamConnection<tcp::socket>>(std::move(host),
                                                           std::move(socket));
  }
  // The wrapper takes one reference with it, the connection's own stays.
  SSL_CTX_up_ref(tls.get());
  asio::ssl::context context(tls.get());
  return std::make_shared<StreamConnection<asio::ssl::stream<tcp::socket>>>(
      std::move(host), std::move(socket), context);
}

}  // namespace braid::services::http
