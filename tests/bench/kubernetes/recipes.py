"""Where the binaries of the cluster come from: Go modules, every version pinned."""

from __future__ import annotations

from tests.bench.binaries import Binary

KUBERNETES = "v1.36.3"
ETCD = "v3.6.16"
CONTAINERD = "v2.4.2"
RUNC = "v1.5.2"
CNI = "v1.9.1"
COREDNS = "v1.12.4"

_STAGING = (
    "api",
    "apiextensions-apiserver",
    "apimachinery",
    "apiserver",
    "cli-runtime",
    "client-go",
    "cloud-provider",
    "cluster-bootstrap",
    "code-generator",
    "component-base",
    "component-helpers",
    "controller-manager",
    "cri-api",
    "cri-client",
    "cri-streaming",
    "csi-translation-lib",
    "dynamic-resource-allocation",
    "endpointslice",
    "externaljwt",
    "kms",
    "kube-aggregator",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubectl",
    "kubelet",
    "metrics",
    "mount-utils",
    "pod-security-admission",
    "sample-apiserver",
    "streaming",
)


def _kubernetes(name: str) -> Binary:
    """One of Kubernetes' commands.

    Its go.mod replaces the staging modules by folders that the module doesn't hold, so they are
    named here with their published version. Without a version linked in, clients balk.
    """
    staging = KUBERNETES.replace("v1.", "v0.")
    replaced = [f"replace k8s.io/{each} => k8s.io/{each} {staging}\n" for each in _STAGING]
    required = f"module bench/kubernetes\ngo 1.26.0\nrequire k8s.io/kubernetes {KUBERNETES}\n"
    gomod = required + "".join(replaced)
    version = "k8s.io/component-base/version"
    linked = {
        f"{version}.gitVersion": KUBERNETES,
        f"{version}.gitMajor": "1",
        f"{version}.gitMinor": KUBERNETES.split(".")[1],
        f"{version}.gitTreeState": "clean",
        f"{version}.gitCommit": "0000",
        f"{version}.buildDate": "2026-01-01T00:00:00Z",
        "k8s.io/client-go/pkg/version.gitVersion": KUBERNETES,
    }
    return Binary(
        name=name,
        module="k8s.io/kubernetes",
        version=KUBERNETES,
        package=f"k8s.io/kubernetes/cmd/{name}",
        gomod=gomod,
        ldflags=" ".join(f"-X {key}={value}" for key, value in linked.items()),
    )


def _plugin(kind: str, name: str) -> Binary:
    return Binary(
        name=name,
        module="github.com/containernetworking/plugins",
        version=CNI,
        package=f"plugins/{kind}/{name}",
    )


def _containerd(name: str) -> Binary:
    module = "github.com/containerd/containerd/v2"
    return Binary(name=name, module=module, version=CONTAINERD, package=f"cmd/{name}")


_ETCD = Binary(
    name="etcd",
    module="go.etcd.io/etcd/server/v3",
    version=ETCD,
    gomod=f"module bench/etcd\ngo 1.26.0\nrequire go.etcd.io/etcd/server/v3 {ETCD}\n",
    main="""package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
""",
)

_RUNC = Binary(
    name="runc",
    module="github.com/opencontainers/runc",
    version=RUNC,
    tags="seccomp netgo osusergo",
    cgo=True,  # its first stage, which enters namespaces, is C
    debian=("gcc", "libc6-dev", "libseccomp-dev", "pkg-config"),
)

# CoreDNS' own main links the SDK of every cloud.
_COREDNS = Binary(
    name="coredns",
    module="github.com/coredns/coredns",
    version=COREDNS,
    gomod=f"module bench/coredns\ngo 1.26.0\nrequire github.com/coredns/coredns {COREDNS}\n",
    main="""package main

import (
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/ready"
	_ "github.com/coredns/coredns/plugin/reload"
)

func main() { coremain.Run() }
""",
)

# Holds a pod's namespaces, and reaps what its containers leave when they share them.
_PAUSE = Binary(
    name="pause",
    module="golang.org/x/sys",
    version="v0.40.0",
    gomod="module bench/pause\ngo 1.26.0\nrequire golang.org/x/sys v0.40.0\n",
    main="""package main

import (
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

func main() {
	heard := make(chan os.Signal, 16)
	signal.Notify(heard, unix.SIGINT, unix.SIGTERM, unix.SIGCHLD)
	for each := range heard {
		if each != unix.SIGCHLD {
			return
		}
		for {
			if pid, _ := unix.Wait4(-1, nil, unix.WNOHANG, nil); pid <= 0 {
				break
			}
		}
	}
}
""",
)

BINARIES: tuple[Binary, ...] = (
    _RUNC,
    _PAUSE,
    *(_plugin("main", name) for name in ("bridge", "loopback")),
    _plugin("ipam", "host-local"),
    _plugin("meta", "portmap"),
    *(_containerd(name) for name in ("containerd", "containerd-shim-runc-v2", "ctr")),
    _ETCD,
    # The API server takes eight minutes of a core, and compiles most of what the rest need.
    *(
        _kubernetes(f"kube{name}")
        for name in ("-apiserver", "-controller-manager", "let", "ctl", "-proxy", "-scheduler")
    ),
    _COREDNS,
)
