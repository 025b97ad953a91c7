"""Results of rule tests as JUnit XML, for CI systems."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def junit(suites: Iterable[tuple[str, Sequence[tuple[str, str, float]], str]]) -> bytes:
    """Return an XML document of suites, given as (name, tests, error of the whole file).

    A test is (name, failure or an empty string, seconds).
    """
    root = ET.Element("testsuites", name="retrainer test")
    for name, tests, broken in suites:
        failed = sum(1 for _, text, _ in tests if text)
        suite = ET.SubElement(root, "testsuite", name=name, tests=str(len(tests) or 1), failures=str(failed))
        suite.set("errors", str(int(bool(broken))))
        suite.set("time", f"{sum(seconds for _, _, seconds in tests):.3f}")
        for test, text, seconds in tests:
            case = ET.SubElement(suite, "testcase", classname=name, name=test, time=f"{seconds:.3f}")
            if text:
                ET.SubElement(case, "failure", message=_legal(text.splitlines()[0])).text = _legal(text)
        if broken:
            case = ET.SubElement(suite, "testcase", classname=name, name="the file can be read")
            ET.SubElement(case, "error", message=_legal(broken.splitlines()[0])).text = _legal(broken)
    ET.indent(root)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _legal(text: str) -> str:
    """Replace control characters, which XML cannot represent."""
    return "".join(
        c if c in "\t\n" or (c >= " " and not "\ud800" <= c <= "\udfff" and c < "\ufffe") else "�" for c in text
    )
