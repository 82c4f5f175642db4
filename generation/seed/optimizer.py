"""Muon for the matrices inside the layers, AdamW for everything else.

Muon: Jordan et al., 2024; the scale that lets both share one learning rate and one
weight decay is that of Liu et al., "Muon is Scalable for LLM Training", 2025. It
needs one moment instead of two, and that one has forgotten almost everything after
some tens of steps: so a state that must be small can leave it out (state.py).
"""

import torch

from model import SHARP

MOMENTUM = 0.95
BETAS = (0.9, 0.95)
EPSILON = 1e-8
UPDATE_RMS = 0.2  # what AdamW's updates have


def orthogonalised(matrices):
  """[..., rows, columns]: singular values to about 1 (quintic Newton-Schulz)."""
  x = matrices.bfloat16() if matrices.is_cuda else matrices
  tall = x.shape[-2] > x.shape[-1]
  if tall:
    x = x.mT
  x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
  for _ in range(5):
    gram = x @ x.mT
    x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
  return (x.mT if tall else x).float()


def matrices_of(name, parameter, config):
  """Row ranges of a parameter that are matrices of their own; None: no matrix."""
  if parameter.dim() < 2 or any(
      word in name for word in ("embed_tokens", "conv1d", "router")):
    return None
  if name.endswith("in_proj.weight"):
    state = config.mamba_d_state
    sizes = [config.inner, config.inner, state, state, config.mamba_n_heads]
  elif "input_linear" in name:
    sizes = [parameter.shape[-2] // 2] * 2
  else:
    sizes = [parameter.shape[-2]]
  edges = [0]
  for size in sizes:
    edges.append(edges[-1] + size)
  return list(zip(edges, edges[1:]))


class Optimizer:
  """State: for each parameter `first`, and `second` where AdamW steps."""

  def __init__(self, model, config, weight_decay):
    self.parameters = dict(model.named_parameters())
    self.weight_decay = weight_decay
    self.ranges = {name: matrices_of(name, p, config)
                   for name, p in self.parameters.items()}
    self.first = {name: torch.zeros_like(p) for name, p in self.parameters.items()}
    self.second = {name: torch.zeros_like(p) for name, p in self.parameters.items()
                   if self.ranges[name] is None}
    self.steps = 0
    # Matrices of one shape are orthogonalised together.
    self.shapes = {}
    for name, ranges in self.ranges.items():
      for begin, end in ranges or []:
        shape = (end - begin, self.parameters[name].shape[-1])
        self.shapes.setdefault(shape, []).append((name, begin, end))

  @torch.no_grad()
  def step(self, rate):
    """One step along the gradients, which are taken away."""
    self.steps += 1
    directions = {}
    for name, parameter in self.parameters.items():
      gradient = parameter.grad
      if self.ranges[name] is not None:
        self.first[name].mul_(MOMENTUM).add_(gradient)
        directions[name] = gradient.add_(self.first[name], alpha=MOMENTUM)
      else:
        self.adam(name, parameter, gradient, rate)
      parameter.grad = None
    for (rows, columns), pieces in self.shapes.items():
      parts = [directions[name][..., begin:end, :].reshape(-1, rows, columns)
               for name, begin, end in pieces]
      updates = orthogonalised(torch.cat(parts)).split([len(p) for p in parts])
      scale = rate * UPDATE_RMS * max(rows, columns) ** 0.5
      for (name, begin, end), update in zip(pieces, updates):
        piece = self.parameters[name][..., begin:end, :]
        piece.mul_(1 - rate * self.weight_decay)
        piece.sub_(update.view_as(piece), alpha=scale)
    for name, parameter in self.parameters.items():
      if "q_proj" in name or "k_proj" in name:
        size = parameter.square().sum(-1).mean().sqrt()
        parameter.mul_((SHARP / size).clamp(max=1))

  def adam(self, name, parameter, gradient, rate):
    first, second = self.first[name], self.second[name]
    first.lerp_(gradient, 1 - BETAS[0])
    second.lerp_(gradient.square(), 1 - BETAS[1])
    mean = first / (1 - BETAS[0] ** self.steps)
    spread = (second / (1 - BETAS[1] ** self.steps)).sqrt_().add_(EPSILON)
    parameter.addcdiv_(mean, spread, value=-rate)
