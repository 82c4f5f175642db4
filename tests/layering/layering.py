#!/usr/bin/env python3
"""Fails on an #include that runs against the dependency arrows.

    kernels <- generation/{checkpoint,text,layers,state}
            <- retrieval, fusion, generation/{engine,answer}
            <- services

Retrieval, fusion and the engine do not know each other; services join them. A
third-party library that is wrapped may be included by its wrapper alone.

Usage: layering.py ROOT, or layering.py --self-test
"""

import contextlib
import io
import os
import re
import sys
import tempfile

CORE = ["generation/checkpoint", "generation/text", "generation/layers",
        "generation/state"]
# Module: what it may include, besides itself. The longest prefix names a file's
# module; a folder of the project that is not listed is an error.
MODULES = {
    "kernels": [],
    "generation/checkpoint": ["kernels"],
    "generation/text": ["kernels", "generation/checkpoint"],
    "generation/layers": ["kernels"] + CORE,
    "generation/state": ["kernels"] + CORE,
    "generation": ["kernels"] + CORE,
    "retrieval": ["kernels"] + CORE,
    "fusion": ["kernels"] + CORE,
    "services": ["kernels", "generation", "retrieval", "fusion"] + CORE,
}
# Include prefix: the only places that may use it.
WRAPPED = {
    "absl/": ["generation", "retrieval", "fusion", "services", "kernels/cuda"],
    "faiss/": ["retrieval/dense", "services/bench/search_floors.cc"],
    "rocksdb/": ["retrieval/store"],
    "gumbo.h": ["retrieval/ingest"],
    "curl/": ["services/hub", "services/telemetry"],
    "httplib.h": ["services/http"],
    "prometheus/": ["services/telemetry"],
    "toml++/": ["services/auth", "services/config"],
    "grpc/": ["services"],
    "grpcpp/": ["services"],
    "google/": ["services"],
    "braid/": ["services"],
    "retrieval/lexical/ffi/": ["retrieval/lexical"],
    "retrieval/ingest/ffi/": ["retrieval/ingest"],
    "generation/text/ffi/": ["generation/text"],
}
# Quoted includes that are not files of the tree.
EXTERNAL = ("absl/", "benchmark/", "braid/v1/", "faiss/", "google/", "grpc/",
            "grpcpp/", "gmock/", "gtest/", "hwy/", "nlohmann/", "rocksdb/",
            "toml++/", "unicode/")
SOURCES = (".h", ".cc", ".cu", ".cuh", ".inc")
# Quoted or not, and the one that Highway spells as a macro.
INCLUDE = re.compile(
    r'^\s*#\s*(?:include|define\s+HWY_TARGET_INCLUDE)\s*([<"])([^>"]+)[>"]')


def inside(path, folder):
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def module_of(path):
    names = [name for name in MODULES if inside(path, name)]
    return max(names, key=len) if names else None


def violations(root, path):
    """Yields (line number, text) for each include of `path` that is wrong."""
    module = module_of(path)
    allowed = MODULES[module]
    with open(os.path.join(root, path), encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            quoted, target = match.group(1) == '"', match.group(2)
            for prefix, users in WRAPPED.items():
                if target.startswith(prefix) and not any(
                        inside(path, user) for user in users):
                    yield number, (f"only {', '.join(users)} may include "
                                   f"{prefix}: {target}")
            target_module = module_of(target)
            if ".." in target.split("/"):
                yield number, f"not a plain path: {target}"
            elif target_module:
                if target_module != module and target_module not in allowed:
                    yield number, f"{module} must not include {target}"
            elif inside(target, "tests"):
                yield number, f"{module} must not include tests: {target}"
            elif quoted and not target.startswith(EXTERNAL):
                yield number, f'not a path from the project root: "{target}"'


def check(root):
    """Prints all violations; returns (number of files, number of violations)."""
    files = wrong = 0
    for top in sorted({name.split("/")[0] for name in MODULES}):
        for folder, _, names in sorted(os.walk(os.path.join(root, top))):
            for name in sorted(names):
                if not name.endswith(SOURCES):
                    continue
                path = os.path.relpath(os.path.join(folder, name), root)
                files += 1
                for number, text in violations(root, path):
                    wrong += 1
                    print(f"{path}:{number}: {text}")
    return files, wrong


GOOD = {
    "kernels/a.h": '#include <vector>\n#include "kernels/b.h"\n',
    "kernels/a.cc": '#define HWY_TARGET_INCLUDE "kernels/a.cc"\n'
                    '#include "hwy/foreach_target.h"\n',
    "generation/layers/a.cc": '#include "kernels/a.h"\n'
                              '#include "generation/checkpoint/a.h"\n',
    "generation/engine/a.cc": '#include "generation/layers/a.h"\n',
    "retrieval/encoder/a.cc": '#include "generation/layers/a.h"\n'
                              '#include "retrieval/types.h"\n',
    "retrieval/dense/a.cc": "#include <faiss/IndexFlat.h>\n",
    "services/a.cc": '#include "retrieval/types.h"\n#include "fusion/rrf.h"\n'
                     '#include "generation/engine/a.h"\n'
                     '#include "braid/v1/document.pb.h"\n',
}
BAD = [
    ("kernels/a.h", '#include "generation/layers/a.h"'),
    ("kernels/a.h", '#include "absl/status/status.h"'),
    ("generation/checkpoint/a.h", '#include "retrieval/types.h"'),
    ("generation/checkpoint/a.h", '#include "generation/engine/a.h"'),
    ("generation/layers/a.h", '#include "generation/answer/a.h"'),
    ("generation/engine/a.h", '#include "retrieval/types.h"'),
    ("generation/answer/a.h", '#include "fusion/rrf.h"'),
    ("retrieval/types.h", '#include "fusion/rrf.h"'),
    ("retrieval/types.h", '  #  include "generation/engine/a.h"'),
    ("retrieval/types.h", '#include "services/limits.h"'),
    ("retrieval/types.h", '#include "braid/v1/document.pb.h"'),
    ("retrieval/types.h", "#include <retrieval/../services/limits.h>"),
    ("retrieval/local/a.cc", "#include <faiss/IndexFlat.h>"),
    ("retrieval/local/a.cc", '#include "rocksdb/db.h"'),
    ("retrieval/local/a.cc", '#include "retrieval/lexical/ffi/lexical_ffi.h"'),
    ("fusion/rrf.h", '#include "retrieval/types.h"'),
    ("fusion/rrf.h", '#include "rank.h"'),
    ("fusion/rrf.h", '#include "../services/limits.h"'),
    ("services/cli/a.cc", "#include <curl/curl.h>"),
    ("services/a.cc", '#include "tests/store/fakes.h"'),
]


def self_test():
    def count(files):
        with tempfile.TemporaryDirectory() as root:
            for path, text in files.items():
                os.makedirs(os.path.dirname(os.path.join(root, path)),
                            exist_ok=True)
                with open(os.path.join(root, path), "w",
                          encoding="utf-8") as file:
                    file.write(text)
            with contextlib.redirect_stdout(io.StringIO()):
                return check(root)

    if count(GOOD) != (len(GOOD), 0):
        sys.exit("the good sample was found bad")
    for path, line in BAD:
        if count({path: line + "\n"})[1] != 1:
            sys.exit(f"not found: {path}: {line}")
    print(f"self-test: {len(GOOD)} good files, {len(BAD)} bad includes found")


def main():
    if sys.argv[1:] == ["--self-test"]:
        self_test()
        return
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    files, wrong = check(sys.argv[1])
    print(f"layering: {files} files, {wrong} wrong includes")
    # No files would mean that the wrong folder was checked.
    sys.exit(1 if wrong or not files else 0)


if __name__ == "__main__":
    main()
