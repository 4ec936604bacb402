"""docs/knowledge.md: its examples are read by the code they are about, and it knows every command."""

import re

import typer

from knowledge.scenario import load_scenario
from knowledge.store import KnowledgeStore
from reki.knowledge import cli
from reki.knowledge.folder import FolderSubjects
from reki.knowledge.transfer import import_file
from reki.paths import ROOT

PAGE = (ROOT / "docs" / "knowledge.md").read_text()


def examples(name):
    [found] = re.findall(rf"```json {name}\n(.*?)```", PAGE, re.DOTALL)
    return found


def test_the_files_of_ones_own_are_as_the_page_shows_them(tmp_path):
    for name in ("items", "events", "profiles"):
        (tmp_path / f"{name}.jsonl").write_text(examples(name))
    subjects = FolderSubjects.load(tmp_path, load_scenario("films"), 100)
    assert subjects.item_ids() == ["50", "100"]
    assert len(subjects.histories["u7"]) == 2
    assert "email" in subjects.people["u7"]


def test_the_exported_line_of_the_page_is_taken(tmp_path):
    file = tmp_path / "page.jsonl"
    file.write_text(examples("export"))
    done = import_file(KnowledgeStore(tmp_path / "store"), file, load_scenario("films"))
    assert (done.bad, done.written) == ([], 1)


def test_the_page_names_every_command():
    names = typer.main.get_command(cli.app).commands
    assert "generate" in names
    told = "".join(line for line in PAGE.splitlines() if line.startswith("| `"))
    assert [name for name in names if f"`{name}" not in told] == []


def test_every_link_of_the_knowledge_pages_leads_somewhere():
    for page in ("knowledge", "knowledge-inside"):
        for file, place in re.findall(r"\]\(([\w-]*(?:\.md)?)(?:#([\w-]+))?\)", (ROOT / f"docs/{page}.md").read_text()):
            target = ROOT / "docs" / (file or f"{page}.md")
            assert target.is_file(), f"{page}: {target}"
            headings = [line.lstrip("# ") for line in target.read_text().splitlines() if line.startswith("#")]
            assert not place or place in {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings}
