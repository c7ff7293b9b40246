"""Reads PromQL expressions, a JSON list of them, and writes for each what it selects: a list of
[metric's name, [names of the labels that it is selected by]]. A parser reads them, no pattern."""

import json
import sys

import promql_parser


def selectors(expression):
    if isinstance(expression, promql_parser.VectorSelector):
        labels = [matcher.name for matcher in expression.matchers.matchers]
        yield [expression.name or "", labels]
    for attribute in dir(expression):
        value = getattr(expression, attribute)
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, promql_parser.Expr):
                yield from selectors(part)


parsed = [list(selectors(promql_parser.parse(text))) for text in json.load(sys.stdin)]
json.dump(parsed, sys.stdout)
