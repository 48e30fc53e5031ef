"""README and documentation: what they name exists, shell lines run or say why they do not, and the pages build.

A shell block is fenced with `sh`. Its lines are run here, with few steps. Where a block cannot be run, a comment above
it says why (`<!-- not run: REASON -->`); its lines are only read, as are commands within sentences.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from deeprecon import cli
from deeprecon.data.doubts import CODES
from deeprecon.jobs.job import VERSION
from deeprecon.jobs.options import check_required, namespace_values
from deeprecon.jobs.parameters import from_json
from deeprecon.jobs.verbs import METHODS, load_verb, load_verbs

from .ctpa.test_ctpa_synthesize import make_bundle

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [README, ROOT / "CONTRIBUTING.md", ROOT / "Logic" / "README.md", *DOCS]
PANELS = ["scar", "ctpa", "dwmri"]
SHIPPED = [name for name, module in METHODS.items() if module.startswith("deeprecon.")]

FENCE = re.compile(
    r"(?:^<!-- not run: (?P<reason>\S.+) -->\n)?^```(?P<kind>.*)\n(?P<lines>(?:.*\n)*?)^```$", re.MULTILINE
)
KINDS = {"sh", "python", "text", "{eval-rst}", "{literalinclude}", "{toctree}", "{messages}", "{options}"}
INLINE = re.compile(r"`([^`]+)`")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")
BATCH_OPTIONS = ("--time-limit", "--scene")
"""Of the batch scripts of the modules, beside those of their verb."""
QUICK = {
    ("scar", "phantom"): "--node-spacing 4 --pixel 2.5",
    ("scar", "reconstruct"): "--steps 20",
    ("ctpa", "synthesize"): "--steps 2 --bundle tiny",
    ("dwmri", "phantom"): "--rows 32 --columns 32 --slices 6",
    ("scattering", "reconstruct"): "--misfits 1",
    ("seizure", "phantom"): "--users 6 --minutes 5 --recording 0.1",
    ("seizure", "train"): "--steps 4",
}
"""Options that are added here to the lines of the pages, so that they take seconds; tiny is an untrained model."""
OTHER_COMMANDS = {
    "git clone https://github.com/DeepRecon/DeepRecon",
    "cd DeepRecon",
    "pip install pre-commit",
    "pre-commit install",
}
SHOWN_IN = {"reconstruct": "report.html", "synthesize": "report.html", "enhance": "report.html", "detect": "plot.png"}
"""Which file shows the result of a verb, as the README says."""


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(page: Path) -> list[tuple[str, list[str]]]:
    """The shell blocks of a page: the reason why one is not run, else "", and its lines."""
    return [
        (match["reason"] or "", [line for line in match["lines"].splitlines() if line.strip()])
        for match in FENCE.finditer(text_of(page))
        if match["kind"] == "sh"
    ]


def inline(page: Path) -> list[str]:
    """What stands between backticks in the sentences and tables of a page."""
    return [" ".join(code.split()) for code in INLINE.findall(FENCE.sub("", text_of(page)))]


def lines_to_run(method: str) -> list[str]:
    """Of a method, or of none ("help"), in the order of the pages, each once."""
    wanted = []
    for page in PAGES:
        for reason, lines in blocks(page):
            for line in () if reason else lines:
                words = shlex.split(line)
                assert words[:3] == ["python", "-m", "deeprecon"], f"{page.name}: not run and not marked: {line}"
                asks = words[-1] in ("--help", "--version")
                if line not in wanted and (method == "help" if asks else method == words[3]):
                    wanted.append(line)
    return wanted


def check_line(line: str) -> None:
    """Read a command as its program would, without running it; placeholders in capitals count as values."""
    if line in OTHER_COMMANDS:
        return
    program, *rest = shlex.split(line.removeprefix("DEEPRECON_DATA=FOLDER "), comments=True)
    if program == "deeprecon" or rest[:2] == ["-m", "deeprecon"]:
        check_verb(rest[rest.index("deeprecon") + 1 :] if program == "python" else rest)
    elif program == "python":
        source = text_of(ROOT / rest[0])
        assert [word for word in rest if word.startswith("--") and f'"{word}"' not in source] == []
    elif program == "make":
        check_make(rest)
    elif program == "pip":
        extras = tomllib.loads(text_of(ROOT / "Logic" / "pyproject.toml"))["project"]["optional-dependencies"]
        (package,) = (word for word in rest if word.startswith("./"))
        name, _, sets = package.partition("[")
        assert (ROOT / name / "pyproject.toml").is_file()
        assert set(filter(None, sets.rstrip("]").split(","))) <= set(extras)
    elif program == "Slicer":
        place = rest.index("--python-script") + 1
        method, verb = re.search(r'runBatch\("(\w+)", "(\w+)"', text_of(ROOT / rest[place])).groups()
        check_verb([method, verb, *rest[place + 1 :]])
    elif program == "torchrun":
        check_verb(rest[rest.index("deeprecon") + 1 :])
    elif program == "sbatch" and "--wrap" in rest:
        check_line(rest[rest.index("--wrap") + 1].replace("$SLURM_ARRAY_TASK_ID", "1"))
    elif program == "sbatch":
        (place,) = (number for number, word in enumerate(rest) if word.endswith(".sbatch"))
        verb = re.search(r"-m deeprecon (\w+) (\S+)", text_of(ROOT / rest[place])).groups()
        check_verb([*verb, *rest[place + 1 :]])
    else:
        raise AssertionError(f"unknown command: {line}")


def check_verb(arguments: list[str]) -> None:
    if arguments[-1] in ("--help", "--version"):
        assert all(name in METHODS for name in arguments[:-1][:1])
        assert all(name in load_verbs(arguments[0]) for name in arguments[1:-1])
        return
    method, name, *rest = arguments
    verb = load_verb(method, name)
    options = cli._parser(method, name, verb).parse_args([word for word in rest if word not in BATCH_OPTIONS])
    inputs, parameters = namespace_values(verb, options)
    assert options.output or options.resume
    if not (options.cases or options.resume):
        check_required(verb, {**inputs, **parameters})
    assert from_json(verb.parameters, parameters).validate() == []


def check_make(words: list[str]) -> None:
    makefile = text_of(ROOT / "Makefile")
    for word in words:
        name, _, value = word.partition("=")
        assert re.search(rf"^{name} \?=" if value else rf"^{name}:", makefile, re.MULTILINE), word


def test_the_readme_is_short() -> None:
    assert len(text_of(README).splitlines()) <= 150


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_code_is_fenced_and_its_kind_is_known(page: Path) -> None:
    found = list(FENCE.finditer(text_of(page)))
    assert {match["kind"].split()[0] for match in found} <= KINDS
    assert text_of(page).count("```") == 2 * len(found)
    assert (
        re.findall(r"^ {4,}(?:python|pip|make|Slicer|sbatch|torchrun|git)\b.*", FENCE.sub("", text_of(page)), re.M)
        == []
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_of_a_page_can_be_read_by_its_program(page: Path) -> None:
    for _, lines in blocks(page):
        for line in lines:
            check_line(line)
    for code in inline(page):
        if re.match(r"(\w+=\w+ )?(python (-m deeprecon |Testing/)|make |pip install)", code) and "METHOD" not in code:
            check_line(code)


@pytest.mark.parametrize("method", ["help", *SHIPPED])
def test_the_shell_lines_of_the_pages_run(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    if method == "ctpa":
        make_bundle(tmp_path / "tiny")
    lines = lines_to_run(method)
    assert lines
    for line in lines:
        words = shlex.split(line)[3:]
        if method == "help":
            try:
                code = cli.main(words)
            except SystemExit as end:  # argparse
                code = end.code
            assert (code, bool(capsys.readouterr().out)) == (0, True), line
            continue
        quick = QUICK.get((words[0], words[1]), "").split()
        assert cli.main([*words, *quick, "--threads", "1"]) == 0, f"{line}\n{capsys.readouterr().err}"
        output = tmp_path / words[words.index("--output") + 1]
        assert (output / "result.json").is_file()
        assert (output / SHOWN_IN.get(words[1], "result.json")).is_file(), line


def test_the_readme_runs_every_method() -> None:
    lines = [line for reason, lines in blocks(README) if not reason for line in lines]
    assert {shlex.split(line)[3] for line in lines} == set(SHIPPED)


@pytest.mark.parametrize("method", SHIPPED)
def test_options_that_the_page_of_a_method_names_exist(method: str) -> None:
    page = ROOT / "docs" / f"{method}.md"
    assert f"```{{options}} {method}\n" in text_of(page)
    options = {
        option
        for name, verb in load_verbs(method).items()
        for action in cli._parser(method, name, verb)._actions
        for option in action.option_strings
    }
    named = {option for code in inline(page) if "pip" not in code for option in OPTION.findall(code)}
    assert named - options == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_codes_that_can_be_accepted_exist(page: Path) -> None:
    assert set(re.findall(r"--accept ([a-z][a-z0-9-]+)", text_of(page))) <= set(CODES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", text_of(page)))
    for link in links:
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        headings = re.findall(r"^#+ (.+)$", text_of(target), re.MULTILINE) if anchor else []
        assert not anchor or anchor in {
            re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in headings
        }, link


@pytest.mark.parametrize("page", ["README", *(f"docs/{method}" for method in PANELS)])
def test_controls_that_a_tutorial_names_are_in_the_panels(page: str) -> None:
    start, style = ("## First run", r"\*\*") if page == "README" else ("## Tutorial in Slicer", r"\*")
    tutorial = text_of(ROOT / f"{page}.md").partition(f"{start}\n")[2].partition("\n## ")[0]
    named = re.findall(rf"(?<![*\w]){style}([A-Z][^*]+){style}(?![*\w])", " ".join(tutorial.split()))
    folders = [ROOT / "Logic" / "deeprecon", *(path.parents[1] for path in ROOT.glob("*/Resources/UI"))]
    files = [path for folder in folders for ending in ("*.ui", "*.py") for path in folder.rglob(ending)]
    words = "\n".join(map(text_of, files))
    parts = {part.strip() for name in named for part in name.split(">")} - {"Modules"}
    assert len(parts) > 2
    assert {part for part in parts if part not in words} == set()


def test_frequent_messages_are_those_of_the_library() -> None:
    table = text_of(ROOT / "docs" / "troubleshooting.md").partition("## Every message")[0]
    quoted = re.findall(r'"(.+?)"', " ".join(re.findall(r"^\| (.+?) \|", table, re.MULTILINE)))
    source = "\n".join(text_of(path) for path in (ROOT / "Logic" / "deeprecon").rglob("*.py"))
    assert len(quoted) > 8
    assert [words for words in quoted if words not in source] == []


def test_every_benchmark_is_named_on_its_page() -> None:
    page = text_of(ROOT / "docs" / "benchmarks.md")
    files = (ROOT / "Testing" / "benchmarks").glob("*.py")
    scripts = [path for path in files if '\nif __name__ == "__main__":' in text_of(path)]
    assert len(scripts) > 15
    assert [path.name for path in scripts if f"Testing/benchmarks/{path.name}" not in page] == []


def test_the_citation_is_of_this_version() -> None:
    assert f"\nversion: {VERSION}\n" in text_of(ROOT / "CITATION.cff")


def test_hooks_are_those_of_the_environment() -> None:
    """Their versions are pinned by its lock file alone."""
    text = text_of(ROOT / ".pre-commit-config.yaml")
    assert re.findall(r"repo: (\S+)", text) == ["local"]
    programs = {re.search(r"\.venv/bin/([\w-]+)", entry)[1] for entry in re.findall(r"entry: (.+)", text)}
    assert programs == {"ruff", "mypy", "check-jsonschema"}
    lock = text_of(ROOT / "Testing" / "requirements" / "test.lock")
    assert [name for name in programs if not re.search(rf"^{name}==", lock, re.MULTILINE)] == []


def test_the_documentation_builds_without_warnings(tmp_path: Path) -> None:
    pytest.importorskip("sphinx")
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-W",
        "--keep-going",
        "-q",
        "-b",
        "html",
        str(ROOT / "docs"),
        str(tmp_path),
    ]
    built = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(ROOT / "Logic")}, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    options = text_of(tmp_path / "dwmri.html")
    assert "--b0-threshold" in options, "made from the parameter dataclass"
    assert "b-value up to which a volume counts as b0 (0 to 1000 s/mm2; default: 50)" in options
    assert "Give --bundle DIR of scattering train." in text_of(tmp_path / "troubleshooting.html")
