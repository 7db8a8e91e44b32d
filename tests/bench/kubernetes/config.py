"""Flags and configuration of Kubernetes' components: pure functions from a place to values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.kubernetes import network

NODE_NAME = "bench"
API = f"https://{network.NODE}:6443"
ETCD = "http://127.0.0.1:2379"
LOG_SIZE = "16Mi"
"""A container log beyond this is rotated."""
API_NAMES = (
    network.NODE,
    "127.0.0.1",
    network.API_SERVICE,
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)


@dataclass(frozen=True)
class Place:
    """The files of the cluster: binaries, its authority, and all else below `home`."""

    bin: Path
    home: Path
    ca: Path
    ca_key: Path

    @property
    def pki(self) -> Path:
        """Certificates and kubeconfigs."""
        return self.home / "pki"

    @property
    def conf(self) -> Path:
        """Configuration files."""
        return self.home / "conf"

    @property
    def hosts(self) -> Path:
        """How containerd reaches registries: a folder each, read at every pull."""
        return self.conf / "hosts"

    @property
    def containerd(self) -> Path:
        """containerd's socket."""
        return self.home / "containerd.sock"

    @property
    def claims(self) -> Path:
        """Volumes of claims, a folder each."""
        return self.home / "claims"

    @property
    def audit(self) -> Path:
        """The API server's audit log, a JSON object a line."""
        return self.home / "audit.log"

    def kubeconfig(self, name: str) -> Path:
        """The kubeconfig of a component, or of `admin`."""
        return self.pki / f"{name}.kubeconfig"


def etcd(place: Place) -> list[str]:
    """Its flags: one member; a crash loses nothing that anybody wants back."""
    return [
        f"--data-dir={place.home / 'etcd'}",
        f"--listen-client-urls={ETCD}",
        f"--advertise-client-urls={ETCD}",
        "--listen-peer-urls=http://127.0.0.1:2380",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def api_server(place: Place) -> list[str]:
    """Its flags. Pod Security admission is on by default; labels of namespaces choose a level."""
    pki = place.pki
    return [
        f"--etcd-servers={ETCD}",
        f"--advertise-address={network.NODE}",
        f"--bind-address={network.NODE}",
        "--secure-port=6443",
        f"--tls-cert-file={pki / 'apiserver.crt'}",
        f"--tls-private-key-file={pki / 'apiserver.key'}",
        f"--client-ca-file={place.ca}",
        f"--kubelet-client-certificate={pki / 'apiserver-kubelet.crt'}",
        f"--kubelet-client-key={pki / 'apiserver-kubelet.key'}",
        "--kubelet-preferred-address-types=InternalIP",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={pki / 'sa.key'}",
        f"--service-account-signing-key-file={pki / 'sa.key'}",
        f"--service-cluster-ip-range={network.SERVICES}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--anonymous-auth=false",
        "--allow-privileged=true",
        f"--audit-policy-file={place.conf / 'audit.json'}",
        f"--audit-log-path={place.audit}",
        "--audit-log-mode=blocking",  # what has been answered can be read in the log
        "--audit-log-maxsize=100",
        "--audit-log-maxbackup=1",
    ]


def audit_policy() -> dict[str, Any]:
    """Who did what to what, without bodies: Secrets stay out of the log."""
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            {"level": "None", "userGroups": ["system:nodes"]},
            {
                "level": "None",
                "users": [
                    "system:apiserver",
                    "system:kube-controller-manager",
                    "system:kube-scheduler",
                    "system:kube-proxy",
                ],
            },
            {"level": "Metadata"},
        ],
    }


def controller_manager(place: Place) -> list[str]:
    """Its flags."""
    pki = place.pki
    return [
        f"--kubeconfig={place.kubeconfig('controller-manager')}",
        "--bind-address=127.0.0.1",
        "--leader-elect=false",
        "--use-service-account-credentials=true",
        f"--root-ca-file={place.ca}",
        f"--service-account-private-key-file={pki / 'sa.key'}",
        f"--cluster-signing-cert-file={place.ca}",
        f"--cluster-signing-key-file={place.ca_key}",
    ]


def scheduler(place: Place) -> list[str]:
    """Its flags."""
    return [
        f"--kubeconfig={place.kubeconfig('scheduler')}",
        "--bind-address=127.0.0.1",
        "--leader-elect=false",
    ]


def kubelet(place: Place) -> list[str]:
    """Its flags; the rest is in its file."""
    return [
        f"--config={place.conf / 'kubelet.json'}",
        f"--kubeconfig={place.kubeconfig('kubelet')}",
        f"--root-dir={place.home / 'kubelet'}",
        f"--cert-dir={place.home / 'kubelet-pki'}",
        f"--hostname-override={NODE_NAME}",
        f"--node-ip={network.NODE}",
    ]


def kubelet_file(place: Place) -> dict[str, Any]:
    """The kubelet's configuration, for a machine without systemd, cgroup v2 or all capabilities."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": f"unix://{place.containerd}",
        "address": network.NODE,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(place.ca)},
        },
        "authorization": {"mode": "Webhook"},
        "clusterDomain": "cluster.local",
        "clusterDNS": [network.DNS_SERVICE],
        "resolvConf": str(place.conf / "resolv.conf"),
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": False,  # refused by default from 1.35 on
        "cgroupsPerQOS": False,
        "enforceNodeAllocatable": [],
        "failSwapOn": False,
        "oomScoreAdj": 0,  # a negative one needs CAP_SYS_RESOURCE
        "syncFrequency": "3s",  # 1 min by default: what is written to a mounted Secret is seen late
        "containerLogMaxSize": LOG_SIZE,
        "containerLogMaxFiles": 5,
        "containerLogMonitorInterval": "3s",
        "podLogsDir": str(place.home / "podlogs"),
        "volumePluginDir": str(place.home / "volumeplugins"),
        "evictionHard": {
            "memory.available": "200Mi",
            "nodefs.available": "1%",
            "imagefs.available": "1%",
        },
        "imageGCHighThresholdPercent": 99,
        "imageGCLowThresholdPercent": 98,
        "maxPods": 200,
    }


def proxy(place: Place) -> list[str]:
    """kube-proxy's flags."""
    return [f"--config={place.conf / 'proxy.json'}"]


def proxy_file(place: Place) -> dict[str, Any]:
    """kube-proxy's configuration. It ends itself when this file is rewritten, even unchanged."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(place.kubeconfig("proxy"))},
        "mode": "iptables",
        "clusterCIDR": network.PODS,
        "hostnameOverride": NODE_NAME,
        "metricsBindAddress": "127.0.0.1:10249",
        "oomScoreAdj": 0,
        "conntrack": {  # not writable in a network namespace
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        },
    }
