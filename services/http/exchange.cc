#include <utility>

#include "services/http/connection.h"

namespace braid::services::http {
namespace {

// Every call is work for the connection.
class ExchangeImpl final : public Exchange {
 public:
  ExchangeImpl(std::shared_ptr<Connection> connection, Request request)
      : connection_(std::move(connection)),
        number_(connection_->request_number()),
        request_(std::move(request)) {}
  ~ExchangeImpl() override {
    Post([](Connection& connection) { connection.Abandon(); });
  }

  const Request& request() const override { return request_; }
  void Send(Reply reply) override {
    Post([reply = std::move(reply)](Connection& connection) mutable {
      connection.Send(std::move(reply));
    });
  }
  void Start(Reply head) override {
    Post([head = std::move(head)](Connection& connection) mutable {
      connection.StartStream(std::move(head));
    });
  }
  void Write(std::string bytes, std::function<void(bool)> done) override {
    Post([bytes = std::move(bytes),
          done = std::move(done)](Connection& connection) mutable {
      connection.WriteStream(std::move(bytes), std::move(done));
    });
  }
  void End() override {
    Post([](Connection& connection) { connection.EndStream(); });
  }
  void OnGone(std::function<void()> gone) override {
    Post([gone = std::move(gone)](Connection& connection) mutable {
      connection.OnGone(std::move(gone));
    });
  }

 private:
  template <typename Work>
  void Post(Work work) {
    connection_->Post([connection = connection_, number = number_,
                       work = std::move(work)]() mutable {
      if (connection->request_number() == number) work(*connection);
    });
  }

  const std::shared_ptr<Connection> connection_;
  const uint64_t number_;
  const Request request_;
};

}  // namespace

std::shared_ptr<Exchange> MakeExchange(std::shared_ptr<Connection> connection,
                                       Request request) {
  return std::make_shared<ExchangeImpl>(std::move(connection),
                                        std::move(request));
}

}  // namespace braid::services::http
