from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from fairing_core import errors
from fairing_core.preprocess import ignores
from tests.core.preprocess.harness import Project, named


def matches(path: str, *patterns: str) -> bool:
    return ignores.of_patterns(patterns, "test").leaving_out(path) is not None


# Source: moby/patternmatcher, patternmatcher_test.go, TestMatches and matchTests (Apache-2.0);
# without paths that end in a slash, which no walk gives.
TABLE = r"""
** file +
**/ file +
** dir/file +
**/ dir/file +
**/** dir/file +
dir/** dir/file +
dir/** dir/dir2/file +
**/dir dir +
**/dir dir/file +
**/dir2/* dir/dir2/file +
**/dir2/** dir/dir2/dir3/file +
**file file +
**file dir/file +
**/file dir/file +
**file dir/dir/file +
**/file dir/dir/file +
**/file* dir/dir/file +
**/file* dir/dir/file.txt +
**/file*txt dir/dir/file.txt +
**/file*.txt dir/dir/file.txt +
**/file*.txt* dir/dir/file.txt +
**/**/*.txt dir/dir/file.txt +
**/**/*.txt2 dir/dir/file.txt -
**/*.txt file.txt +
**/**/*.txt file.txt +
a**/*.txt a/file.txt +
a**/*.txt a/dir/file.txt +
a**/*.txt a/dir/dir/file.txt +
a/*.txt a/dir/file.txt -
a/*.txt a/file.txt +
a/*.txt** a/file.txt +
a[b-d]e ae -
a[b-d]e ace +
a[b-d]e aae -
a[^b-d]e aze +
.* .foo +
.* foo -
abc.def abcdef -
abc.def abc.def +
abc.def abcZdef -
abc?def abcZdef +
abc?def abcdef -
a\\ a\ +
**/foo/bar foo/bar +
**/foo/bar dir/foo/bar +
**/foo/bar dir/dir2/foo/bar +
abc/** abc -
abc/** abc/def +
abc/** abc/def/ghi +
**/.foo .foo +
**/.foo bar.foo -
a(b)c/def a(b)c/def +
a(b)c/def a(b)c/xyz -
a.|)$(}+{bc a.|)$(}+{bc +
dist/p.py-2.4.0rc3+g08-py3-none.whl dist/p.py-2.4.0rc3+g08-py3-none.whl +
dist/*.whl dist/p.py-2.4.0rc3+g08-py3-none.whl +
a\*b a*b +
abc abc +
* abc +
*c abc +
a* a +
a* abc +
a* ab/c +
a*/b abc/b +
a*/b a/c/b -
a*b*c*d*e*/f axbxcxdxe/f +
a*b*c*d*e*/f axbxcxdxexxx/f +
a*b*c*d*e*/f axbxcxdxe/xxx/f -
a*b*c*d*e*/f axbxcxdxexxx/fff -
a*b?c*x abxbbxdbxebxczzx +
a*b?c*x abxbbxdbxebxczzy -
ab[c] abc +
ab[b-d] abc +
ab[e-g] abc -
ab[^c] abc -
ab[^b-d] abc -
ab[^e-g] abc +
a\*b ab -
a?b a☺b +
a[^a]b a☺b +
a???b a☺b -
a[^a][^a][^a]b a☺b -
[a-ÿ]* é +
*[a-ÿ] A -
a?b a/b -
a*b a/b -
[\]a] ] +
[\-] - +
[x\-] x +
[x\-] - +
[x\-] z -
[\-x] x +
[\-x] - +
[\-x] a -
*x xxx +
"""


@pytest.mark.parametrize("line", TABLE.strip().splitlines())
def test_a_pattern_matches_what_it_does_for_docker(line: str) -> None:
    pattern, path, sign = line.split(" ")
    assert matches(path, pattern) is (sign == "+")


@pytest.mark.parametrize(
    ("patterns", "path", "out"),
    [
        (["*.go", "!fileutils.go"], "fileutils.go", False),
        (["!fileutils.go", "*.go"], "fileutils.go", True),
        (["**", "!util/docker/web"], "util/docker/web/foo", False),
        (["**", "!util/docker/web", "util/docker/web/foo"], "util/docker/web/foo", True),
        (["docs", "!docs/README.md"], "docs/README.md", False),
        (["docs", "  !docs/README.md  "], "docs/README.md", False),
        (["/docs/"], "docs/a", True),
        (["docs/../data"], "data/a", True),
        (["", "."], "a", False),
    ],
)
def test_the_last_pattern_that_matches_wins(patterns: list[str], path: str, out: bool) -> None:
    assert matches(path, *patterns) is out


@pytest.mark.parametrize(
    "pattern",
    ["[]a]", "[-]", "[x-]", "[-x]", "a\\", "[a-b-c]", "[", "[^", "[^bc", "a[", "!", "[\\"],
)
def test_a_pattern_that_means_nothing_is_refused(pattern: str) -> None:
    with pytest.raises(errors.InvalidArgument, match="test has the pattern"):
        matches("a", pattern)


def test_a_range_of_nothing_matches_nothing() -> None:
    assert not matches("b", "[z-a]")
    assert matches("b", "[^z-a]")


# --- what travels ---------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _script(project: Project) -> None:
    project.write("train.py")


def travelling(project: Project, *inputs: str) -> set[str]:
    return set(named(project.script(input_files=inputs))) - {"train.py"}


def test_what_the_three_files_say_is_one_list(project: Project) -> None:
    for name in ("data/a.log", "data/a.csv", "data/deep/b.csv", "data/c.tmp", "data/keep.log"):
        project.write(name)
    project.write(".gitignore", "# git's\n*.log\n")
    project.write(".dockerignore", "data/*.csv\n")
    project.write(".fairingignore", "!data/keep.log\n**/*.tmp\n")
    assert travelling(project, "data") == {"data/deep/b.csv", "data/keep.log"}


def test_a_pattern_of_git_without_a_slash_is_meant_at_any_depth(project: Project) -> None:
    for name in ("data/build/x", "data/deep/build/y", "data/top"):
        project.write(name)
    project.write(".gitignore", "build/\n")
    assert travelling(project, "data") == {"data/top"}
    project.write(".gitignore", "/build/\n")
    assert len(travelling(project, "data")) == 3


def test_what_is_named_travels_though_a_pattern_matches_it(project: Project) -> None:
    for name in ("data/a.csv", "data/a.log"):
        project.write(name)
    project.write(".gitignore", "data/\n*.log\n")
    assert travelling(project, "data") == {"data/a.csv"}
    assert travelling(project, "data/*") == {"data/a.csv"}
    assert travelling(project, "data/a.log") == {"data/a.log"}


def test_the_whole_folder_is_named_by_a_dot(project: Project) -> None:
    for name in ("a.csv", "dist/b"):
        project.write(name)
    project.write(".gitignore", "dist\n.gitignore\n")
    assert travelling(project, ".") == {"a.csv"}


def test_the_script_and_what_it_imports_travel_always(project: Project) -> None:
    project.write("train.py", "import helper\n")
    project.write("helper.py")
    project.write(".fairingignore", "*.py\n")
    assert travelling(project) == {"helper.py"}


def test_what_stays_is_counted(project: Project, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("data/a.log", "data/b.log", "data/c.csv"):
        project.write(name)
    project.write(".dockerignore", "**/*.log\n")
    with caplog.at_level(logging.INFO):
        travelling(project, "data")
    assert "2 files of 'data' stay here: 2 by .dockerignore" in caplog.text


def test_where_nothing_is_left_that_is_a_fault(project: Project) -> None:
    project.write("data/a.csv")
    project.write(".gitignore", "*.csv\n")
    with pytest.raises(errors.MissingInput, match=r"every file of 'data' is left out \(1 by .git"):
        travelling(project, "data")


def test_a_fault_names_file_and_line(project: Project, caplog: pytest.LogCaptureFixture) -> None:
    project.write("data/a.csv")
    project.write(".dockerignore", "ok\n[\n")
    with pytest.raises(errors.UnreadableInput, match=r"\.dockerignore, line 2: the pattern '\['"):
        travelling(project, "data")
    os.remove(".dockerignore")
    project.write(".gitignore", "[\n*.log\n")
    assert travelling(project, "data") == {"data/a.csv"}
    assert ".gitignore, line 1" in caplog.text


def test_an_ignore_file_that_can_t_be_read_is_a_fault(project: Project, tmp_path: Path) -> None:
    project.write("data/a.csv")
    os.symlink(".fairingignore", ".fairingignore")
    with pytest.raises(errors.UnreadableInput, match="link that leads back"):
        travelling(project, "data")
