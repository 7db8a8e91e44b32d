"""From an edit of the code to the pod's first line in the terminal, beside docker and kubectl.

Whole processes: ours is `fairing run train.py`; docker's is `docker build`, `docker push`, `kubectl
apply` and `kubectl logs -f`, with a warm engine; the floor is `kubectl apply` of an image that the
node has, and `kubectl logs -f`. Each run is a change: a new token is written into the file before
the clock starts, and the clock stops when that token comes out. The floor prints a token, too.
Ours and the other one take turns, the one and then the other first; a ratio is the median of the
pairs' ratios.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.appending import base as bases
from benchmarks.appending.delay import Line
from benchmarks.appending.measure import SLOWER
from tests.bench import docker, registry
from tests.bench.bases import find
from tests.bench.bench import Bench
from tests.bench.kubernetes.client import Cluster

ROOT = Path(__file__).parents[1]
FAIRING = str(Path(sys.executable).with_name("fairing"))
PATIENCE = 180.0
CASES: Mapping[str, tuple[str, float, str]] = {
    "loopback": ("a small base, plain http", 1.3, "docker"),
    "tls-20ms": ("a small base, TLS, a password, 20 ms to the registry", 1.0, "docker"),
    "big-base": ("a base of 1.3 GB that the node holds and the engine does not", 0.2, "docker"),
    "floor": ("a small base, plain http; the image is there already", 0.0, "kubectl"),
}
"""Each case: what it is, the ratio to reach (0: none), and the other one."""

LOGS = 'until "$K" logs -f "job/$JOB" 2>/dev/null; do sleep 0.05; done'


@dataclass
class Site:
    """Where images go, and by what name the nodes call them."""

    bench: Bench
    cluster: Cluster
    folder: Path
    push: str
    pull: str
    base: str
    environ: dict[str, str]

    def edit(self, token: str) -> None:
        (self.folder / "train.py").write_text(f"print({token!r})\n", encoding="utf-8")

    def ours(self, token: str) -> list[str]:
        self.edit(token)
        return [FAIRING, "run", "train.py", "-b", "kubernetes"]

    def docker(self, token: str) -> list[str]:
        self.edit(token)
        image = f"/bench:{token}"
        self._manifest(token, f"{self.pull}{image}", ["python3", "/app/train.py"])
        script = (  # BuildKit itself would ask a registry on plain http by TLS
            'set -e; "$D" image inspect "$BASE" >/dev/null 2>&1 || "$D" pull -q "$BASE" >&2; '
            '"$D" build -q -t "$IMAGE" . >&2; "$D" push -q "$IMAGE" >&2; '
            f'"$K" apply -f job.json >&2; {LOGS}'
        )
        return self._shell(token, script, IMAGE=f"{self.push}{image}", BASE=self.base)

    def kubectl(self, token: str) -> list[str]:
        image = self.base.replace(self.push, self.pull)
        self._manifest(token, image, ["python3", "-c", f"print({token!r})"])
        return self._shell(token, f'"$K" apply -f job.json >&2; {LOGS}')

    def _manifest(self, name: str, image: str, command: Sequence[str]) -> None:
        pod = {
            "restartPolicy": "Never",
            "imagePullSecrets": [{"name": "pull"}],
            "containers": [{"name": "main", "image": image, "command": command}],
        }
        job = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": name, "namespace": self.cluster.namespace},
            "spec": {"backoffLimit": 0, "template": {"spec": pod}},
        }
        (self.folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
        (self.folder / "Dockerfile").write_text(f"FROM {self.base}\nCOPY . /app\n")

    def _shell(self, token: str, script: str, **more: str) -> list[str]:
        kubectl = f"{self.bench.bin / 'kubectl'}"
        binary = "/usr/bin/docker" if Path("/usr/bin/docker").exists() else "docker"
        namespaced = self.folder / "kubectl"
        namespaced.write_text(
            f'#!/bin/sh\nexec "{kubectl}" --namespace={self.cluster.namespace} "$@"\n'
        )
        namespaced.chmod(0o755)
        words = {"K": str(namespaced), "D": binary, "JOB": token, **more}
        pairs = [f"{name}={value}" for name, value in words.items()]
        return ["env", *pairs, "sh", "-c", script]

    def first_line(self, command: Callable[[str], list[str]]) -> float:
        """Seconds until the token came out."""
        token = f"t{secrets.token_hex(6)}"
        words = command(token)
        environ = {key: value for key, value in os.environ.items() if key not in SLOWER}
        started = time.perf_counter()
        with (
            tempfile.TemporaryFile("w+") as said,
            subprocess.Popen(
                words,
                cwd=self.folder,
                env={**environ, **self.environ},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
            ) as process,
        ):
            assert process.stdout
            line = process.stdout.readline()
            taken = time.perf_counter() - started
            process.stdout.read()
            process.wait(PATIENCE)
            if line != f"{token}\n":
                said.seek(0)
                raise SystemExit(f"{' '.join(words)}: gave {line!r}:\n{said.read()}")
        return taken


@contextmanager
def site(name: str, bench: Bench, folder: Path) -> Iterator[Site]:
    """What a case needs, for as long as the context lasts."""
    variants = {each.part: each.at(bench) for each in registry.VARIANTS}
    plain, guarded = variants["cluster-registry"], variants["cluster-registry-basic"]
    cluster = Cluster(bench, f"first-line-{name}")
    cluster.kubectl("create", "namespace", cluster.namespace)
    environ = {
        "KUBECONFIG": str(cluster.admin),
        "FAIRING_CACHE": str(folder / "cache"),
        "FAIRING_KUBERNETES__NAMESPACE": cluster.namespace,
        "DOCKER_HOST": f"unix://{docker.socket_of(bench)}",
        "DOCKER_CONFIG": str(folder / "docker"),
        "DOCKER_BUILDKIT": "1",
    }
    (folder / "docker").mkdir(parents=True)
    here, there, settings = plain.name, plain.node_name, "plain_http = true\n"
    try:
        with tempfile.TemporaryDirectory() as project:
            if name == "tls-20ms":
                with Line.to(
                    int(guarded.name.rpartition(":")[2]),
                    rtt=0.020,
                    host=guarded.name.rpartition(":")[0],
                ) as line:
                    here, there = f"127.0.0.1:{line.port}", guarded.node_name
                    settings = f"plain_http = false\nca = '{guarded.ca}'\npull_name = '{there}'\n"
                    _log_in(folder / "docker", cluster, (here, there), guarded.users["pusher"])
                    base = _base(bench, plain.name, guarded)
                    base = base.replace(guarded.name, here)
                    yield _site(bench, cluster, project, here, there, base, environ, settings)
            else:
                _log_in(folder / "docker", cluster, (), "")
                base = f"{here}/{_small(bench)}"
                if name == "big-base":
                    base = _big(bench, here, cluster)
                yield _site(bench, cluster, project, here, there, base, environ, settings)
    finally:
        cluster.kubectl("delete", "namespace", cluster.namespace, "--wait=false")


def _site(
    bench: Bench,
    cluster: Cluster,
    project: str,
    here: str,
    there: str,
    base: str,
    environ: dict[str, str],
    settings: str,
) -> Site:
    text = (
        f"[tool.fairing]\nbase_image = '{base}'\nregistry = '{here}'\n"
        f"[tool.fairing.registries.'{here}']\n{settings}"
    )
    (Path(project) / "pyproject.toml").write_text(text, encoding="utf-8")
    cluster.kubectl(
        "patch", "serviceaccount", "default", "-p", '{"imagePullSecrets": [{"name": "pull"}]}'
    )
    made = Site(bench, cluster, Path(project), here, there, base, environ)
    subprocess.run(
        ["env", f"DOCKER_HOST={environ['DOCKER_HOST']}", "docker", "pull", "-q", base],
        env={**os.environ, **environ},
        check=True,
        capture_output=True,
    )
    return made


def _log_in(folder: Path, cluster: Cluster, hosts: Sequence[str], password: str) -> None:
    """Gives the client and the pods credentials of the registry at `hosts`, if it wants any."""
    auth = base64.b64encode(f"pusher:{password}".encode()).decode()
    config = json.dumps({"auths": {host: {"auth": auth} for host in hosts}})
    (folder / "config.json").write_text(config)
    cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "pull", "namespace": cluster.namespace},
            "type": "kubernetes.io/dockerconfigjson",
            "data": {".dockerconfigjson": base64.b64encode(config.encode()).decode()},
        }
    )


def _small(bench: Bench) -> str:
    found = find(bench)["python"]
    return f"{found.repository}@{found.digest}"


def _base(bench: Bench, plain: str, guarded: registry.Registry) -> str:
    """The small base in the guarded registry."""
    name = f"{guarded.name}/base/python"
    _crane(bench, guarded, "copy", f"{plain}/{_small(bench)}", f"{name}:1")
    return f"{name}@{find(bench)['python'].digest}"


def _big(bench: Bench, here: str, cluster: Cluster) -> str:
    """A base of 1.3 GB on the small one's program, which the node is made to hold."""
    made = bases.made(bases.Recipe(), Bench.here().cache / "append", _say)
    name = f"{here}/base/big"
    blobs = made.folder / "blobs" / "sha256"
    index = json.loads((made.folder / "index.json").read_text())
    manifest = blobs / index["manifests"][0]["digest"].partition(":")[2]
    tars = []
    for layer in json.loads(manifest.read_text())["layers"][1:]:  # the first has a Python for show
        tars += ["-f", str(blobs / layer["digest"].partition(":")[2])]
    _crane(bench, None, "append", "-b", f"{here}/{_small(bench)}", *tars, "-t", f"{name}:1")
    digest = _crane(bench, None, "digest", f"{name}:1").strip()
    image = f"{name}@{digest}"
    _say("the node pulls the base")
    cluster.apply(cluster.pod("holds", "true", image=image))
    cluster.bench.wait(
        lambda: None if _ended(cluster) else "pulling", seconds=600, what="the node's pull"
    )
    return image


def _ended(cluster: Cluster) -> bool:
    return cluster.get("pod", "holds")["status"]["phase"] in ("Succeeded", "Failed")


def _crane(bench: Bench, guarded: registry.Registry | None, *words: str) -> str:
    environ = dict(os.environ)
    with tempfile.TemporaryDirectory() as folder:
        if guarded:
            Path(folder, "config.json").write_text(guarded.docker_config("pusher"))
            environ.update(DOCKER_CONFIG=folder, SSL_CERT_FILE=str(guarded.ca))
        done = subprocess.run(
            [bench.bin / "crane", *words, "--insecure"],
            env=environ,
            check=True,
            capture_output=True,
            text=True,
        )
    return done.stdout


def measured(name: str, bench: Bench, pairs: int, folder: Path) -> dict[str, Any]:
    """One row of the table."""
    about, target, against = CASES[name]
    with site(name, bench, folder) as place:
        other = {"docker": place.docker, "kubectl": place.kubectl}[against]
        taken: list[tuple[float, float]] = []
        for number in range(pairs + 1):  # the first warms both
            order = [place.ours, other] if number % 2 else [other, place.ours]
            seconds: dict[Any, float] = {}
            for side in order:
                if name == "big-base" and side is other:
                    _forget(place)
                seconds[side == place.ours] = place.first_line(side)
            taken.append((seconds[True], seconds[False]))
        taken = taken[1:]
    ratio = statistics.median(one / two for one, two in taken)
    return {
        "case": name,
        "about": about,
        "against": against,
        "ours_ms": round(1000 * statistics.median(one for one, _ in taken)),
        "peer_ms": round(1000 * statistics.median(two for _, two in taken)),
        "ratio": round(ratio, 2),
        "target": target or None,
        "met": ratio <= target if target else None,
        "pairs": pairs,
    }


def _forget(place: Site) -> None:
    """The engine holds nothing of the base."""
    command = ["docker", "system", "prune", "-af"]
    environ = {**os.environ, **place.environ}
    subprocess.run(command, env=environ, check=True, capture_output=True)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    lines = "\n".join(f"  {name:<10}{about}" for name, (about, _, _) in CASES.items())
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"Cases:\n{lines}\n\nIt needs what `make test-real` needs, and brings it up.",
    )
    parser.add_argument("--case", action="append", choices=CASES, help="one case; by default all")
    parser.add_argument("--pairs", type=int, default=11, help="pairs of a case (default: 11)")
    parser.add_argument("--big-pairs", type=int, default=3, help="of big-base (default: 3)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    chosen = parser.parse_args()
    parts = ["cluster-registry", "cluster-registry-basic", "bases", "docker", "kubernetes"]
    subprocess.run([sys.executable, "-m", "tests.bench", "up", *parts], cwd=ROOT, check=True)
    rows = []
    for name in chosen.case or CASES:
        _say(name)
        pairs = chosen.big_pairs if name == "big-base" else chosen.pairs
        with tempfile.TemporaryDirectory() as folder:
            rows.append(measured(name, Bench.here(), pairs, Path(folder)))
            _say(json.dumps(rows[-1]))
    if chosen.json:
        print(json.dumps(rows, indent=2))
        return
    print(f"{'case':<10}{'ours ms':>9}{'peer ms':>9}{'ratio':>7}{'target':>8}  against")
    for row in rows:
        mark = {True: "", False: "  MISSED", None: ""}[row["met"]]
        print(
            f"{row['case']:<10}{row['ours_ms']:>9}{row['peer_ms']:>9}{row['ratio']:>7}"
            f"{row['target'] or '':>8}  {row['against']}{mark}"
        )


if __name__ == "__main__":
    main()
