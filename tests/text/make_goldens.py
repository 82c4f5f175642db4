#!/usr/bin/env python3
"""Writes the goldens of the text tests with the reference implementations.

minilm_golden.json   ids of the `tokenizers` package for all-MiniLM-L6-v2
chat_golden.json     what `transformers` renders for chat templates

Usage: python make_goldens.py MINILM_DIRECTORY   (needs transformers, tokenizers)
"""
import json
import os
import sys

from tokenizers import Tokenizer
from transformers.utils.chat_template_utils import render_jinja_template

HERE = os.path.dirname(os.path.abspath(__file__))

TEXTS = [
    "What does SQLSTATE 40P01 mean?", "max_wal_size = '1GB'",
    "Caf\u00e9 na\u00efve \u2014 d\u00e9j\u00e0 vu", "\u4f60\u597d\u4e16\u754c mixed with English",
    "\U0001F600 emoji & symbols \u00a9\u00ae\u2122", "  leading\t\ttabs\nand\n\nlines  ",
    "\u0130stanbul \u01c5 \ufb01 \ufb02 Stra\u00dfe", "a\u0301 combining e\u0308",
    "zero\u200bwidth\u00adsoft\ufeffbom",
    "antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis", "x" * 120, "",
    "\u0000null\u0007bell",
    "\uc548\ub155\ud558\uc138\uc694 \u3053\u3093\u306b\u3061\u306f \u0645\u0631\u062d\u0628\u0627",
    "user@example.com https://example.org/a?b=c#d", "1,234.56 $99.99 3/4 50%",
]

CHATML = """{%- for message in messages %}
    {%- if loop.first and message['role'] != 'system' %}
        {{- '<|im_start|>system\\nYou are helpful.<|im_end|>\\n' }}
    {%- endif %}
    {{- '<|im_start|>' + message.role + '\\n' + message.content | trim + '<|im_end|>' + '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}"""

BLOCKS = """{% set ns = namespace(count=0) %}
{% for m in messages %}
    {% if m['role'] == 'system' %}
{{ bos_token }}[{{ m.content.strip().upper() }}]
    {% else %}
    {% set ns.count = ns.count + 1 %}
{{ ns.count }}. {{ m.role.title() }}: {{ m.content.split('|')[-1].lstrip() }}{{ eos_token if not loop.last }}
    {% endif %}
{% endfor %}
{% if tools is none %}no tools{% endif %} {{ messages[0] | tojson }}
{{ {"b": [1, 2.5, none, true], "a": "<&'>"} | tojson(indent=2) }}"""

GENERATION = """{{ bos_token }}{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{{ eos_token }}{% endgeneration %}{% else %}<u>{{ m.content }}</u>{% endif %}{% endfor %}"""

CHATS = [
    [{"role": "user", "content": " Hello, w\u00f6rld! "}],
    [{"role": "system", "content": " be brief "}, {"role": "user", "content": "a | b"},
     {"role": "assistant", "content": "fine"}, {"role": "user", "content": "1 < 2 & 'x'\n"}],
]


def main():
    tok = Tokenizer.from_file(os.path.join(sys.argv[1], "tokenizer.json"))
    tok.no_padding()
    tok.no_truncation()
    full = [[t, tok.encode(t).ids] for t in TEXTS]
    tok.enable_truncation(8)
    cut = [tok.encode(t).ids for t in TEXTS]
    dump("minilm_golden.json", {"cases": full, "truncated_to_8": cut})
    chats = []
    for source in (CHATML, BLOCKS, GENERATION):
        for messages in CHATS:
            for prompt in (False, True):
                out, _ = render_jinja_template([messages], chat_template=source, add_generation_prompt=prompt,
                                               bos_token="<s>", eos_token="</s>")
                chats.append({"template": source, "messages": messages, "add_generation_prompt": prompt,
                              "rendered": out[0]})
    dump("chat_golden.json", {"cases": chats})


def dump(name, value):
    with open(os.path.join(HERE, name), "w") as f:
        json.dump(value, f, separators=(",", ":"))
        f.write("\n")


main()
