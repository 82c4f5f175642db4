"""GraniteMoeHybrid in plain PyTorch, for training.

The function is that of Hugging Face's GraniteMoeHybridForCausalLM (one group of B
and C, no positions, shared and routed experts); `check.py` compares the two. What
differs is how it is computed, so that the same code is fast on a GPU and runs on a
CPU, without kernels of its own:

- The Mamba-2 scan is the chunked SSD of Dao and Gu, "Transformers are SSMs", 2024,
  section 6: batched matrix products inside chunks, and one more over the chunks.
- All experts are computed as two wide matrix products, and the gates of those that
  the router did not choose are zero. At 8 experts of 128 that costs less than to
  sort the tokens, and no token is ever dropped.
- Rows hold several documents (`segments` numbers them): neither attention, nor the
  convolution, nor the state looks over the edge of a document.
"""

import dataclasses
import json
import math
import os

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn

CHUNK = 128
# Of an embedding as the first layer meets it. AdamW moves every entry of the table by
# the rate: smaller ones would be overwritten in a few steps.
EMBEDDING_RMS = 0.25
# The most that a row of queries' and keys' matrices measures in the mean. Muon lets
# their products grow until attention is all or nothing and learns no more (Kimi Team,
# "Kimi K2", 2025, section 2.1).
SHARP = 1.5


@dataclasses.dataclass
class Config:
  """The fields of config.json that this model reads."""
  vocab_size: int
  hidden_size: int
  layer_types: list  # "mamba" or "attention"
  num_attention_heads: int
  num_key_value_heads: int
  mamba_n_heads: int
  mamba_d_head: int
  mamba_d_state: int
  num_local_experts: int
  num_experts_per_tok: int
  intermediate_size: int  # of an expert
  shared_intermediate_size: int
  embedding_multiplier: float
  residual_multiplier: float
  attention_multiplier: float
  logits_scaling: float
  mamba_d_conv: int = 4
  mamba_expand: int = 2
  rms_norm_eps: float = 1e-5
  max_position_embeddings: int = 131072

  @staticmethod
  def read(fields):
    names = {field.name for field in dataclasses.fields(Config)}
    return Config(**{k: v for k, v in fields.items() if k in names})

  @property
  def inner(self):
    return self.mamba_n_heads * self.mamba_d_head

  def hub(self):
    """config.json."""
    return {
        "architectures": ["GraniteMoeHybridForCausalLM"],
        "model_type": "granitemoehybrid",
        **dataclasses.asdict(self),
        "num_hidden_layers": len(self.layer_types),
        "mamba_n_groups": 1,
        "mamba_chunk_size": CHUNK,
        "mamba_conv_bias": True,
        "mamba_proj_bias": False,
        "attention_bias": False,
        "attention_dropout": 0.0,
        "hidden_act": "silu",
        "initializer_range": 0.02,
        "position_embedding_type": "nope",
        "tie_word_embeddings": True,
        "output_router_logits": False,
        "use_cache": True,
    }


class RmsNorm(nn.Module):

  def __init__(self, width, epsilon):
    super().__init__()
    self.weight = nn.Parameter(torch.ones(width))
    self.epsilon = epsilon

  def forward(self, x):
    wide = x.float()
    wide = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.epsilon)
    return wide.to(x.dtype) * self.weight.to(x.dtype)


def linear(inputs, outputs):
  layer = nn.Linear(inputs, outputs, bias=False)
  nn.init.normal_(layer.weight, std=inputs ** -0.5)
  return layer


def shifted(x, steps, fill=0):
  """x [batch, tokens, ...], `steps` tokens later."""
  if steps == 0:
    return x
  padding = [0, 0] * (x.dim() - 2) + [steps, 0]
  return F.pad(x, padding, value=fill)[:, :x.shape[1]]


def ssd(x, dt, a, b, c, segments, chunk=CHUNK):
  """The state space scan: S_t = exp(dt_t a) S_{t-1} + dt_t x_t b_t', y_t = S_t c_t.

  x [batch, tokens, heads, width], dt [batch, tokens, heads] f32, a [heads],
  b and c [batch, tokens, state]; the state is empty where `segments`
  [batch, tokens] changes. Returns y like x.
  """
  batch, length, heads, width = x.shape
  extra = -length % chunk
  if extra:
    # A step of zero neither decays the state nor adds to it.
    x, dt, b, c = (F.pad(v, [0, 0] * (v.dim() - 2) + [0, extra])
                   for v in (x, dt, b, c))
    segments = F.pad(segments, [0, extra], value=-1)
  chunks = (length + extra) // chunk
  segments = segments.view(batch, chunks, chunk)
  log_decay = (dt * a).view(batch, chunks, chunk, heads).transpose(2, 3)
  total = log_decay.cumsum(-1)  # [batch, chunks, heads, chunk]
  xdt = (x * dt.to(x.dtype)[..., None]).view(batch, chunks, chunk, heads, width)
  xdt = xdt.transpose(2, 3)  # [batch, chunks, heads, chunk, width]
  b = b.view(batch, chunks, 1, chunk, -1)
  c = c.view(batch, chunks, 1, chunk, -1)

  # Inside a chunk: attention with decays for weights.
  seen = (segments[..., :, None] == segments[..., None, :]).tril()[:, :, None]
  decay = torch.where(seen, total[..., :, None] - total[..., None, :],
                      -torch.inf).exp()
  mixing = (c @ b.transpose(-1, -2)) * decay.to(c.dtype)
  y = mixing @ xdt

  # What each chunk leaves, [batch, chunks, heads, width, state].
  last = segments[..., -1]
  left = torch.where((segments == last[..., None])[:, :, None],
                     total[..., -1:] - total, -torch.inf).exp()
  state = (xdt * left.to(xdt.dtype)[..., None]).transpose(-1, -2) @ b
  # What each chunk finds: a sum over those before it, in f32.
  ends = total[..., -1].cumsum(1).transpose(1, 2)  # [batch, heads, chunks]
  before = F.pad(ends, [1, 0])[..., :-1]
  reach = (F.pad(last, [1, 0], value=-1)[:, :-1, None] == last[:, None, :])
  carry = torch.where(reach.tril(-1)[:, None],
                      before[..., :, None] - ends[..., None, :],
                      -torch.inf).exp()  # [batch, heads, chunks, chunks]
  with torch.autocast(x.device.type, enabled=False):
    flat = state.to(carry.dtype).permute(0, 2, 1, 3, 4).flatten(3)
    found = (carry @ flat).unflatten(3, state.shape[-2:]).transpose(1, 2)
  reached = segments == F.pad(last, [1, 0], value=-1)[:, :-1, None]
  arrived = torch.where(reached[:, :, None], total, -torch.inf).exp()
  y = y + (c @ found.to(c.dtype).transpose(-1, -2)) * arrived.to(c.dtype)[..., None]
  return y.transpose(2, 3).reshape(batch, length + extra, heads, width)[:, :length]


class Mamba(nn.Module):

  def __init__(self, config):
    super().__init__()
    self.config = config
    inner, heads = config.inner, config.mamba_n_heads
    channels = inner + 2 * config.mamba_d_state
    self.in_proj = linear(config.hidden_size, inner + channels + heads)
    self.conv1d = nn.Conv1d(channels, channels, config.mamba_d_conv, groups=channels)
    dt = torch.exp(torch.rand(heads) * math.log(100) + math.log(0.001))
    self.dt_bias = nn.Parameter(dt + torch.log(-torch.expm1(-dt)))
    self.A_log = nn.Parameter(torch.log(1 + 15 * torch.rand(heads)))
    self.D = nn.Parameter(torch.ones(heads))
    self.norm = RmsNorm(inner, config.rms_norm_eps)
    self.out_proj = linear(inner, config.hidden_size)

  def forward(self, x, segments):
    config = self.config
    inner, state = config.inner, config.mamba_d_state
    gate, mixed, dt = self.in_proj(x).split(
        [inner, inner + 2 * state, config.mamba_n_heads], -1)
    taps = self.conv1d.weight.to(mixed.dtype)
    convolved = self.conv1d.bias.to(mixed.dtype)
    for back in range(config.mamba_d_conv):
      same = shifted(segments, back, -1) == segments
      convolved = convolved + (shifted(mixed, back) * taps[:, 0, -1 - back] *
                               same[..., None])
    values, b, c = F.silu(convolved).split([inner, state, state], -1)
    values = values.unflatten(-1, (config.mamba_n_heads, config.mamba_d_head))
    y = ssd(values, F.softplus(dt.float() + self.dt_bias),
            -self.A_log.float().exp(), b, c, segments)
    y = (y + values * self.D.to(values.dtype)[:, None]).flatten(-2)
    return self.out_proj(self.norm(y * F.silu(gate)))


class Attention(nn.Module):

  def __init__(self, config):
    super().__init__()
    self.heads, self.kv_heads = config.num_attention_heads, config.num_key_value_heads
    width = config.hidden_size // self.heads
    self.scale = config.attention_multiplier
    self.q_proj = linear(config.hidden_size, self.heads * width)
    self.k_proj = linear(config.hidden_size, self.kv_heads * width)
    self.v_proj = linear(config.hidden_size, self.kv_heads * width)
    self.o_proj = linear(self.heads * width, config.hidden_size)

  def forward(self, x, mask):
    q, k, v = (projection(x).unflatten(-1, (heads, -1)).transpose(1, 2)
               for projection, heads in ((self.q_proj, self.heads),
                                         (self.k_proj, self.kv_heads),
                                         (self.v_proj, self.kv_heads)))
    k, v = (t.repeat_interleave(self.heads // self.kv_heads, 1) for t in (k, v))
    y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask,
                                       is_causal=mask is None, scale=self.scale)
    return self.o_proj(y.transpose(1, 2).flatten(-2))


class SharedMlp(nn.Module):

  def __init__(self, config):
    super().__init__()
    self.input_linear = linear(config.hidden_size, 2 * config.shared_intermediate_size)
    self.output_linear = linear(config.shared_intermediate_size, config.hidden_size)

  def forward(self, x):
    gate, up = self.input_linear(x).chunk(2, -1)
    return self.output_linear(F.silu(gate) * up)


class Stacked(nn.Module):
  """A matrix for each expert, with the name that the hub gives it."""

  def __init__(self, experts, outputs, inputs):
    super().__init__()
    self.weight = nn.Parameter(torch.randn(experts, outputs, inputs) * inputs ** -0.5)


class Router(nn.Module):

  def __init__(self, config):
    super().__init__()
    self.layer = linear(config.hidden_size, config.num_local_experts)


class Experts(nn.Module):

  def __init__(self, config):
    super().__init__()
    self.chosen = config.num_experts_per_tok
    self.router = Router(config)
    experts, width = config.num_local_experts, config.intermediate_size
    self.input_linear = Stacked(experts, 2 * width, config.hidden_size)
    self.output_linear = Stacked(experts, config.hidden_size, width)

  def forward(self, x):
    """The output, and the load-balancing loss of Switch Transformers."""
    with torch.autocast(x.device.type, enabled=False):
      logits = F.linear(x.float(), self.router.layer.weight.float())
    best, index = logits.topk(self.chosen, -1)
    gates = torch.zeros_like(logits).scatter(-1, index, best.softmax(-1))
    experts = logits.shape[-1]
    share = (gates > 0).float().flatten(0, -2).mean(0) / self.chosen
    balance = experts * (share * logits.softmax(-1).flatten(0, -2).mean(0)).sum()

    hidden = F.linear(x, self.input_linear.weight.flatten(0, 1))
    gate, up = hidden.unflatten(-1, (experts, 2, -1)).unbind(-2)
    active = F.silu(gate) * up * gates.to(hidden.dtype)[..., None]
    out = self.output_linear.weight.transpose(0, 1).flatten(1)  # [hidden, E * width]
    return F.linear(active.flatten(-2), out), balance


class Layer(nn.Module):

  def __init__(self, config, kind):
    super().__init__()
    self.residual = config.residual_multiplier
    self.input_layernorm = RmsNorm(config.hidden_size, config.rms_norm_eps)
    if kind == "mamba":
      self.mamba = Mamba(config)
    elif kind == "attention":
      self.self_attn = Attention(config)
    else:
      raise ValueError(f"layer_types: {kind!r} is neither mamba nor attention")
    self.is_mamba = kind == "mamba"
    self.post_attention_layernorm = RmsNorm(config.hidden_size, config.rms_norm_eps)
    self.shared_mlp = SharedMlp(config)
    self.block_sparse_moe = Experts(config)

  def forward(self, x, segments, mask):
    normed = self.input_layernorm(x)
    mixed = (self.mamba(normed, segments) if self.is_mamba
             else self.self_attn(normed, mask))
    x = x + self.residual * mixed
    normed = self.post_attention_layernorm(x)
    routed, balance = self.block_sparse_moe(normed)
    return x + self.residual * (self.shared_mlp(normed) + routed), balance


class Backbone(nn.Module):

  def __init__(self, config):
    super().__init__()
    self.config = config
    self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
    nn.init.normal_(self.embed_tokens.weight, std=EMBEDDING_RMS)
    self.layers = nn.ModuleList(Layer(config, kind) for kind in config.layer_types)
    self.norm = RmsNorm(config.hidden_size, config.rms_norm_eps)
    attentions = [layer for layer in self.layers if not layer.is_mamba]
    # Not a parameter's name: the layer is in `layers`.
    object.__setattr__(self, "pointer", attentions[-1])
    self.pointed_from = None

  def forward(self, tokens, segments, alone):
    """tokens and segments [batch, tokens]; `alone`: every row is one document.

    Returns the hidden states before the head, and the mean balance loss.
    """
    mask = None
    if not alone:
      mask = (segments[:, None, :, None] == segments[:, None, None, :]).tril()
    x = self.embed_tokens(tokens) * self.config.embedding_multiplier
    balance = 0
    for layer in self.layers:
      if layer is self.pointer:
        self.pointed_from = x
      x, one = layer(x, segments, mask)
      balance = balance + one
    return self.norm(x), balance / len(self.layers)

  def pointing(self, rows, places, segments):
    """Where the last head of the last attention layer looks, in the last forward().

    From the tokens `places` of `rows`, both [n], rows ascending: log-probabilities
    [n, tokens].
    """
    x = self.pointer.input_layernorm(self.pointed_from)
    attention = self.pointer.self_attn
    width = self.config.hidden_size // attention.heads
    group = attention.heads // attention.kv_heads
    first = (attention.kv_heads - 1) * group * width
    q = F.linear(x[rows, places], attention.q_proj.weight[first:first + width])
    k = F.linear(x, attention.k_proj.weight[-width:])
    parts = q.split(rows.bincount(minlength=len(k)).tolist())
    scores = torch.cat([part @ keys.t() for part, keys in zip(parts, k)])
    scores = scores.float() * attention.scale
    here = torch.arange(segments.shape[1], device=segments.device)
    seen = (here <= places[:, None]) & (
        segments[rows] == segments[rows, places][:, None])
    return scores.where(seen, -torch.inf).log_softmax(-1)


class Seed(nn.Module):
  """Names of parameters are those of the hub's checkpoints. The head is tied."""

  def __init__(self, config):
    super().__init__()
    self.config = config
    self.model = Backbone(config)

  def head(self, hidden):
    return (F.linear(hidden, self.model.embed_tokens.weight.to(hidden.dtype)) /
            self.config.logits_scaling)

  def forward(self, tokens):
    """Logits [batch, tokens, vocab] of rows that are one document each."""
    hidden, _ = self.model(tokens, torch.zeros_like(tokens), True)
    return self.head(hidden)


def sizes(config):
  """Parameters: all, and those that one token uses."""
  with torch.device("meta"):
    model = Seed(config)
  total = sum(p.numel() for p in model.parameters())
  routed = sum(p.numel() for n, p in model.named_parameters()
               if "block_sparse_moe" in n and "router" not in n)
  unused = 1 - config.num_experts_per_tok / config.num_local_experts
  return total, round(total - routed * unused)


class WeightedCrossEntropy(torch.autograd.Function):
  """Sum of weight * cross-entropy over tokens, never holding all the logits.

  The gradient is taken together with the loss, a slice of tokens at a time.
  """
  # At once: what fits a processor's cache, or makes large products on a GPU.
  LOGITS = {"cpu": 1 << 22, "cuda": 1 << 26}

  @staticmethod
  def forward(ctx, hidden, embedding, targets, weights, divisor, dtype):
    """hidden [tokens, width]; also returns each token's cross-entropy."""
    matrix = embedding.to(dtype)
    d_hidden = torch.zeros_like(hidden)
    d_matrix = torch.zeros_like(embedding)
    losses = torch.empty_like(weights)
    rows_at_once = max(
        1, WeightedCrossEntropy.LOGITS[hidden.device.type] // len(embedding))
    for begin in range(0, len(targets), rows_at_once):
      part = slice(begin, begin + rows_at_once)
      rows = hidden[part].to(dtype)
      logits = (rows @ matrix.t()).float() / divisor
      log_p = logits.log_softmax(-1)
      losses[part] = -log_p.gather(1, targets[part, None])[:, 0]
      slope = log_p.exp_()
      slope.scatter_add_(1, targets[part, None],
                         -torch.ones_like(losses[part])[:, None])
      slope = (slope * (weights[part, None] / divisor)).to(dtype)
      d_hidden[part] = (slope @ matrix).to(hidden.dtype)
      d_matrix += (slope.t() @ rows).float()
    ctx.save_for_backward(d_hidden, d_matrix)
    ctx.mark_non_differentiable(losses)
    return (losses * weights).sum(), losses

  @staticmethod
  def backward(ctx, slope, _):
    d_hidden, d_matrix = ctx.saved_tensors
    return d_hidden * slope, d_matrix * slope, None, None, None, None


def load(folder, device):
  """The model of a Hugging Face directory that export.py wrote, in f32."""
  with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
    model = Seed(Config.read(json.load(file)))
  weights = load_file(os.path.join(folder, "model.safetensors"))
  model.load_state_dict({name: weight.float() for name, weight in weights.items()})
  return model.to(device).eval()
