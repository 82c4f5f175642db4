"""What a PromQL expression names: metrics, and the labels it selects by."""

import re

# What stands before or between operands and is no metric.
KEYWORDS = {"and", "or", "unless", "by", "without", "on", "ignoring",
            "group_left", "group_right", "offset", "bool", "atan2", "inf", "nan"}
TOKEN = re.compile(r'"(?:\\.|[^"\\])*"'            # a string
                   r"|'(?:\\.|[^'\\])*'"
                   r"|\[[^\]]*\]"                   # a range
                   r"|[A-Za-z_:][A-Za-z0-9_:]*"     # a name
                   r"|[0-9][0-9a-zA-Z_.]*"          # a number
                   r"|=~|!~|!=|\$[A-Za-z_]+|\S")
NAME = re.compile(r"[A-Za-z_:][A-Za-z0-9_:]*$")


def parse(expression):
    """Returns (metrics, labels, matches): `metrics` maps each name to the
    functions directly around it, `labels` are those that grouping and matchers
    name, `matches` are (label, operator, value)."""
    tokens = [t for t in TOKEN.findall(expression) if not t.startswith("[")]
    metrics, labels, matches = {}, set(), []
    functions = []  # the name before each open parenthesis
    i = 0
    while i < len(tokens):
        token = tokens[i]
        following = tokens[i + 1] if i + 1 < len(tokens) else ""
        if token == "{":
            end = tokens.index("}", i)
            inside = tokens[i + 1:end]
            while inside:
                label, operator, value = inside[:3]
                labels.add(label)
                matches.append((label, operator, value[1:-1]))
                inside = inside[4:]
            i = end
        elif token in ("by", "without", "on", "ignoring", "group_left",
                       "group_right") and following == "(":
            end = tokens.index(")", i)
            labels.update(t for t in tokens[i + 2:end] if t != ",")
            i = end
        elif token == "(":
            before = tokens[i - 1] if i else ""
            functions.append(before if NAME.match(before) else "")
        elif token == ")":
            functions.pop()
        elif NAME.match(token) and token not in KEYWORDS and following != "(":
            # `sum by (x) (...)`: not a call, and not a metric either.
            if following not in ("by", "without"):
                metrics.setdefault(token, set()).add(
                    functions[-1] if functions else "")
        i += 1
    if functions:
        raise ValueError(f"parentheses are not closed: {expression}")
    return metrics, labels, matches
