from __future__ import annotations

import pickle
import textwrap
import threading
from typing import Any

import pytest

from fairing_core import errors
from tests.core.preprocess.harness import Project

LOCK = "import threading\nlock = threading.Lock()\n"


def refusal(project: Project, program: str, function: str = "train", **options: Any) -> Any:
    project.write("train.py", program)
    module = project.load("train")
    with pytest.raises(errors.NotPicklable) as caught:
        project.function(eval(function, vars(module)), **options)
    return caught.value


@pytest.mark.parametrize(
    ("program", "variable", "role"),
    [
        (LOCK + "def train(): lock", "lock", "a global that train() uses"),
        (LOCK + "def helper(): lock\ndef train(): helper()", "lock", "a global that helper() uses"),
        (LOCK + "def train():\n    def inner(): lock", "lock", "a global that train() uses"),
        (
            LOCK + "class Model: pass\nmodel = Model()\nmodel.lock = lock\ndef train(): model",
            "model.lock",
            "a global that train() uses",
        ),
        (
            LOCK + "config = {'a': 1, 'lock': lock}\ndef train(): config",
            "config['lock']",
            "a global that train() uses",
        ),
        (
            LOCK + "config = {'a': [1, {'b': (lock,)}]}\ndef train(): config",
            "config['a'][1]['b'][0]",
            "a global that train() uses",
        ),
        (
            LOCK + "def train(a=1, b=lock): pass",
            "b",
            "the default of a parameter of train()",
        ),
        (
            LOCK + "def train(*, b=lock): pass",
            "b",
            "the default of a parameter of train()",
        ),
        (
            LOCK + "def make(n, held):\n    def train(): return n, held\n    return train\n"
            "train = make(1, lock)",
            "held",
            "a variable of the function around train()",
        ),
        (
            LOCK
            + "class T:\n    def __init__(self): self.guard = lock\n    def train(self): pass\n"
            "train = T().train",
            "self.guard",
            "the object of train()",
        ),
        (
            LOCK
            + "class T:\n    def __init__(self): self.guard = lock\n    def train(self): pass\n"
            "train = T()",
            "T.guard",
            "the function",
        ),
        (
            LOCK + "class train:\n    guard = lock\n    def train(self): pass",
            "train.guard",
            "a class",
        ),
        (LOCK + "class train:\n    def train(self): lock", "lock", "a global that train() uses"),
        (
            LOCK + "import functools\ndef f(x): pass\ntrain = functools.partial(f, lock)",
            "partial.args[0]",
            "the function",
        ),
        (
            LOCK + "def d(f):\n    return lambda: (f(), lock)\n@d\ndef train(): pass",
            "lock",
            "a global that <lambda>() uses",
        ),
        (
            (
                "class Odd:\n    def __reduce__(self): raise OSError('no')\nodd = Odd()\n"
                "def train(): odd"
            ),
            "odd",
            "a global that train() uses",
        ),
        ("def train(x=(i for i in [1])): pass", "x", "the default of a parameter of train()"),
    ],
)
def test_the_variable_that_can_not_travel_is_named(
    project: Project, program: str, variable: str, role: str
) -> None:
    error = refusal(project, program)
    assert error.variable == variable
    assert f"{variable} ({role}) can't travel" in str(error)


def test_the_message_says_what_it_is_and_what_to_do(project: Project) -> None:
    text = str(refusal(project, LOCK + "def train(): lock"))
    assert "it is a _thread.lock, which can't be pickled" in text
    assert "make it inside the function" in text


@pytest.mark.parametrize(
    ("made", "advice"),
    [
        ("threading.Lock()", "another process has no use"),
        ("threading.RLock()", "another process has no use"),
        ("threading.Condition()", "another process has no use"),
        ("threading.local()", "another process has no use"),
        ("threading.Thread()", "start it inside"),
        ("queue.Queue()", "start it inside"),
        ("concurrent.futures.ThreadPoolExecutor()", "start it inside"),
        ("open('out.txt', 'w')", "open it inside"),
        ("open(__file__, 'rb')", "open it inside"),
        ("tempfile.TemporaryFile()", "open it inside"),
        ("(n for n in 'ab')", "pass a list"),
        ("sqlite3.connect(':memory:')", "connect inside"),
        ("socket.socket()", "connect inside"),
        ("held('lab.sdk', 'Session')", "connect inside"),
        ("held('google.cloud.storage', 'Client')", "connect inside"),
        ("held('torch.cuda.streams', 'Stream')", "CPU"),
        ("held('cupy._core', 'ndarray')", "CPU"),
        ("held('lab.sdk', 'Thing')", "__getstate__"),
        ("sys._getframe()", "belongs to this process"),
        ("held('IPython.core.interactiveshell', 'InteractiveShell')", "use Python"),
    ],
)
@pytest.mark.parametrize("way", ["global", "attribute", "closure", "default", "argument"])
def test_the_advice_is_for_what_it_is(
    made: str, advice: str, way: str, project: Project, request: pytest.FixtureRequest
) -> None:
    head = """
        import concurrent.futures, queue, socket, sqlite3, sys, tempfile, threading

        def held(module, name):
            def refuse(self, protocol):
                raise TypeError("no")
            return type(name, (), {"__module__": module, "__reduce_ex__": refuse})()

        value = MADE
    """.replace("MADE", made)
    body, variable = {
        "global": ("def train(): return value", "value"),
        "attribute": (
            "class Box: pass\nbox = Box()\nbox.inner = {'kept': [value]}\ndef train(): return box",
            "box.inner['kept'][0]",
        ),
        "closure": ("def of(kept):\n    return lambda: kept\ntrain = of(value)", "kept"),
        "default": ("def train(kept=value): return kept", "kept"),
        "argument": ("def train(kept): return kept", "args[0]"),
    }[way]
    project.write("train.py", textwrap.dedent(head) + body + "\n")
    module = project.load("train")
    request.addfinalizer(lambda: closed(module.value))
    arguments = (module.value,) if way == "argument" else ()
    with pytest.raises(errors.NotPicklable) as caught:
        project.function(module.train, *arguments)
    assert caught.value.variable == variable
    assert advice in str(caught.value)


def closed(value: Any) -> None:
    close = getattr(value, "close", None) or getattr(value, "shutdown", None)
    if close is not None:
        close()


def test_an_argument_is_named_by_its_place(project: Project) -> None:
    project.write("train.py", "def train(*args, **kwargs): pass")
    train = project.load("train").train
    with pytest.raises(errors.NotPicklable) as caught:
        project.function(train, 1, threading.Lock())
    assert caught.value.variable == "args[1]"
    with pytest.raises(errors.NotPicklable) as caught:
        project.function(train, kwargs={"x": [threading.Lock()]})
    assert caught.value.variable == "kwargs['x'][0]"


def test_an_object_in_a_cycle_is_named(project: Project) -> None:
    program = "class N: pass\none, two = N(), N()\none.two, two.one = two, one\ntwo.lock = lock\n"
    error = refusal(project, LOCK + program + "def train(): one")
    assert error.variable == "one.two.lock"


@pytest.mark.parametrize("name", ["lock", "self.x.lock"])
def test_a_global_with_the_name_of_an_attribute_is_not_blamed(project: Project, name: str) -> None:
    program = "class N: pass\nn = N()\nn.lock = 1\nother = lock\ndef train(): return n.lock, other"
    assert refusal(project, LOCK + program).variable == "other"


def test_what_is_nested_too_deeply_is_named_at_its_top(project: Project) -> None:
    program = "deep = []\nfor _ in range(100_000): deep = [deep]\ndef train(): deep"
    error = refusal(project, program)
    assert error.variable == "deep"
    assert "nested too deeply" in str(error)


def test_a_variable_of_the_program_itself_is_named(project: Project) -> None:
    with pytest.raises(AssertionError, match=r"NotPicklable.*lock \(a global that train\(\) uses"):
        project.main(LOCK + "def train(): lock")


def test_the_error_keeps_its_cause_and_pickles(project: Project) -> None:
    error = refusal(project, LOCK + "def train(): lock")
    assert isinstance(error.__cause__, TypeError)
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.variable) == (str(error), "lock")
