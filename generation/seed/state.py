#!/usr/bin/env python3
"""The state of a training run: as one exact file, or packed small to travel.

    state.py pack STATE PARTS [--part-mib N]
    state.py unpack PARTS STATE

STATE is train.py's state.safetensors: weights and moments in f32. A run that goes on
from it is the run that was never stopped, bit for bit on a CPU. PARTS is a folder of
files of at most N MiB (15). What is packed is rounded: matrices and AdamW's moments
to bf16 (an error of .2 %, where one step moves a matrix by 1 %), vectors stay exact,
and Muon's momentum is left out, which twenty steps make anew (unpack says so to
train.py, which takes them with a rate that grows from zero). So a run over machines
is not bit for bit the run on one, but what follows an unpacked state is exact again.
"""

import argparse
import glob
import hashlib
import json
import os

import torch
from safetensors import safe_open
from safetensors.torch import load, save, save_file

REWARM_STEPS = 20


def write(path, model, optimizer, progress):
  """`progress`: what else the run needs, a JSON object."""
  tensors = {f"weight/{n}": p.detach() for n, p in model.named_parameters()}
  tensors |= {f"first/{n}": t for n, t in optimizer.first.items()}
  tensors |= {f"second/{n}": t for n, t in optimizer.second.items()}
  tensors = {n: t.contiguous().cpu() for n, t in tensors.items()}
  progress = progress | {"optimizer_steps": optimizer.steps}
  save_file(tensors, path + ".part", {"progress": json.dumps(progress)})
  os.replace(path + ".part", path)


def read(path, model, optimizer):
  """Returns `progress`."""
  with safe_open(path, "pt") as file:
    progress = json.loads(file.metadata()["progress"])
    places = {f"weight/{n}": p.data for n, p in model.named_parameters()}
    places |= {f"first/{n}": t for n, t in optimizer.first.items()}
    places |= {f"second/{n}": t for n, t in optimizer.second.items()}
    if set(places) != set(file.keys()):
      raise SystemExit(f"{path}: the state of another model")
    for name, place in places.items():
      place.copy_(file.get_tensor(name))
  optimizer.steps = progress["optimizer_steps"]
  return progress


def read_weights(path):
  with safe_open(path, "pt") as file:
    return {name.removeprefix("weight/"): file.get_tensor(name)
            for name in file.keys() if name.startswith("weight/")}


def pack(path, folder, part_bytes):
  kept = {}
  with safe_open(path, "pt") as file:
    progress = file.metadata()["progress"]
    names = set(file.keys())
    for name in sorted(names):
      kind, parameter = name.split("/", 1)
      if kind == "first" and f"second/{parameter}" not in names:
        continue
      tensor = file.get_tensor(name)
      kept[name] = tensor.bfloat16() if tensor.dim() > 1 else tensor
  data = save(kept, {"progress": progress})
  os.makedirs(folder, exist_ok=True)
  for old in glob.glob(os.path.join(folder, "part-*")):
    os.remove(old)
  for index, begin in enumerate(range(0, len(data), part_bytes)):
    with open(os.path.join(folder, f"part-{index:02d}.bin"), "wb") as file:
      file.write(data[begin:begin + part_bytes])
  with open(os.path.join(folder, "parts.json"), "w") as file:
    json.dump({"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(),
               "progress": json.loads(progress)}, file)
  return len(data)


def unpack(folder, path):
  with open(os.path.join(folder, "parts.json")) as file:
    parts = json.load(file)
  data = b""
  for name in sorted(glob.glob(os.path.join(folder, "part-*.bin"))):
    with open(name, "rb") as file:
      data += file.read()
  if hashlib.sha256(data).hexdigest() != parts["sha256"]:
    raise SystemExit(f"{folder}: a part is missing or damaged")
  tensors = {name: tensor.float() for name, tensor in load(data).items()}
  for name in [n for n in tensors if n.startswith("weight/")]:
    first = "first/" + name.removeprefix("weight/")
    tensors.setdefault(first, torch.zeros_like(tensors[name]))
  progress = parts["progress"]
  progress["rewarm_from"] = progress["step"]
  save_file(tensors, path + ".part", {"progress": json.dumps(progress)})
  os.replace(path + ".part", path)


def main():
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  verbs = parser.add_subparsers(dest="verb", required=True)
  packing = verbs.add_parser("pack")
  packing.add_argument("state")
  packing.add_argument("parts")
  packing.add_argument("--part-mib", type=float, default=15)
  unpacking = verbs.add_parser("unpack")
  unpacking.add_argument("parts")
  unpacking.add_argument("state")
  arguments = parser.parse_args()
  if arguments.verb == "pack":
    size = pack(arguments.state, arguments.parts,
                int(arguments.part_mib * 1024 * 1024))
    print(f"{size} bytes")
  else:
    unpack(arguments.parts, arguments.state)


if __name__ == "__main__":
  main()
