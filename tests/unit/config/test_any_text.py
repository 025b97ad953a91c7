from hypothesis import given, settings
from hypothesis import strategies as st

from retrainer.config.assemble import assemble
from retrainer.config.document import parse

from .test_problems import GOOD
from .test_templates import HEAD

TEMPLATED = HEAD + "  - {name: a, template: nightly, with: {model: a, hour: 1, jitter: 1m}}\n"
PIECES = ["{", "}", "[", "]", ":", "\n", "  ", "- ", "null", "5", "true", "${", "${{", "}}", '"', "'", "#", "&a ", "*a"]
PIECES += ["!", "|", "\t", "''", "[]", "{}", "é", "\x85", "\u2028", "\x00", "event.", "name: ", "rules:", "with: ", ""]


@settings(max_examples=200, deadline=None)
@given(
    text=st.sampled_from([GOOD, TEMPLATED]),
    edits=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 20), st.sampled_from(PIECES)), min_size=1, max_size=4),
)
def test_whatever_stands_in_a_file_problems_have_a_place_and_a_way_out(
    text: str, edits: list[tuple[float, int, str]]
) -> None:
    for at, length, piece in edits:
        start = int(at * len(text))
        text = text[:start] + piece + text[start + length :]
    for problem in assemble([parse("f.yaml", text)], None).problems:
        assert problem.message, problem
        assert problem.hint, problem
        assert problem.line >= 1, problem
        assert problem.column >= 1, problem
        assert problem.render().startswith(f"f.yaml:{problem.line}:{problem.column}: ")
