"""What the cluster starts with: DNS, a storage class, Kubeflow's roles, a profile's namespace."""

from __future__ import annotations

from typing import Any

from tests.bench.kubernetes import network
from tests.bench.kubernetes.images import DNS

Manifest = dict[str, Any]

STORAGE_CLASS = "standard"
PROVISIONER = "bench.invalid/hostpath"
PROFILE = "kubeflow-user"
"""The namespace that is there from the start, set up as a Kubeflow profile's."""
_RBAC = "rbac.authorization.k8s.io"

# A name that is not there yet is asked again at once: a job's workers wait for their master.
_COREFILE = """.:53 {
    errors
    health
    ready
    kubernetes cluster.local in-addr.arpa {
        pods insecure
        ttl 1
    }
    reload 3s
}
"""


def _object(kind: str, name: str, namespace: str = "", api: str = "v1", **more: Any) -> Manifest:
    labels = {"labels": more.pop("labels")} if "labels" in more else {}
    notes = {"annotations": more.pop("annotations")} if "annotations" in more else {}
    where = {"namespace": namespace} if namespace else {}
    metadata = {"name": name, **where, **labels, **notes}
    return {"apiVersion": api, "kind": kind, "metadata": metadata, **more}


def _binding(name: str, role: str, subject: Manifest, namespace: str = "") -> Manifest:
    return _object(
        "RoleBinding" if namespace else "ClusterRoleBinding",
        name,
        namespace,
        f"{_RBAC}/v1",
        roleRef={"apiGroup": _RBAC, "kind": "ClusterRole", "name": role},
        subjects=[subject],
    )


def _account(name: str, namespace: str) -> Manifest:
    return {"kind": "ServiceAccount", "name": name, "namespace": namespace}


def dns() -> list[Manifest]:
    """CoreDNS, as kubeadm sets it up."""
    labels = {"k8s-app": "kube-dns"}
    watch = ["list", "watch"]
    container = {
        "name": "coredns",
        "image": DNS,
        "imagePullPolicy": "Never",
        "args": ["-conf", "/etc/coredns/Corefile"],
        "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns"}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 1},
    }
    pod = {
        "serviceAccountName": "coredns",
        "dnsPolicy": "Default",
        "priorityClassName": "system-cluster-critical",
        "containers": [container],
        "volumes": [{"name": "config", "configMap": {"name": "coredns"}}],
    }
    template = {"metadata": {"labels": labels}, "spec": pod}
    ports = [
        {"name": "dns", "port": 53, "protocol": "UDP"},
        {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
    ]
    rules = [
        {
            "apiGroups": [""],
            "resources": ["endpoints", "services", "pods", "namespaces"],
            "verbs": watch,
        },
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": watch},
    ]
    return [
        _object("ServiceAccount", "coredns", "kube-system"),
        _object("ClusterRole", "system:coredns", api=f"{_RBAC}/v1", rules=rules),
        _binding("system:coredns", "system:coredns", _account("coredns", "kube-system")),
        _object("ConfigMap", "coredns", "kube-system", data={"Corefile": _COREFILE}),
        _object(
            "Deployment",
            "coredns",
            "kube-system",
            "apps/v1",
            spec={"selector": {"matchLabels": labels}, "template": template},
        ),
        _object(
            "Service",
            "kube-dns",
            "kube-system",
            labels=labels,
            spec={"clusterIP": network.DNS_SERVICE, "selector": labels, "ports": ports},
        ),
    ]


def storage() -> list[Manifest]:
    """The default storage class; `provisioner.py` serves it."""
    return [
        _object(
            "StorageClass",
            STORAGE_CLASS,
            api="storage.k8s.io/v1",
            annotations={"storageclass.kubernetes.io/is-default-class": "true"},
            provisioner=PROVISIONER,
            reclaimPolicy="Delete",
            volumeBindingMode="Immediate",
        )
    ]


def kubeflow_roles() -> list[Manifest]:
    """Kubeflow's cluster roles: kubeflow-edit and kubeflow-view gather what is labelled for them.

    Whoever adds a controller labels its roles, as Kubeflow's own manifests do.
    """
    roles = []
    for name, also in (("admin", None), ("edit", "admin"), ("view", "edit")):
        gathers = {"matchLabels": {_gather(name): "true"}}
        roles.append(
            _object(
                "ClusterRole",
                f"kubeflow-{name}",
                api=f"{_RBAC}/v1",
                labels={_gather(also): "true"} if also else {},
                aggregationRule={"clusterRoleSelectors": [gathers]},
                rules=[],
            )
        )
    core = {
        "": [
            "pods",
            "pods/attach",
            "pods/exec",
            "pods/portforward",
            "configmaps",
            "endpoints",
            "events",
            "persistentvolumeclaims",
            "secrets",
            "services",
            "serviceaccounts",
        ],
        "apps": ["deployments", "replicasets", "statefulsets"],
        "batch": ["jobs", "cronjobs"],
    }
    read = ["get", "list", "watch"]
    write = ["create", "update", "patch", "delete", "deletecollection"]
    status: Manifest = {"apiGroups": [""], "verbs": read}
    status["resources"] = ["pods/log", "pods/status", "resourcequotas", "namespaces"]
    edits = [
        {"apiGroups": [group], "resources": names, "verbs": [*read, *write]}
        for group, names in core.items()
    ]
    views = [
        {
            "apiGroups": [group],
            "resources": [name for name in names if "/" not in name and name != "secrets"],
            "verbs": read,
        }
        for group, names in core.items()
    ]
    for name, rules in (("edit", edits), ("view", [*views, status])):
        made = _object("ClusterRole", f"kubeflow-kubernetes-{name}", api=f"{_RBAC}/v1", rules=rules)
        made["metadata"]["labels"] = {_gather(name): "true"}
        roles.append(made)
    return roles


def _gather(role: str) -> str:
    return f"{_RBAC.replace('k8s.io', 'kubeflow.org')}/aggregate-to-kubeflow-{role}"


def profile(namespace: str, owner: str = "user@example.com") -> list[Manifest]:
    """A namespace as Kubeflow's profile controller sets it up for `owner`."""
    hard = {"cpu": "4", "memory": "8Gi", "pods": "40", "requests.storage": "10Gi"}
    hard |= {f"requests.{name}": hard[name] for name in ("cpu", "memory")}  # the same, as some say
    labels = {
        "app.kubernetes.io/part-of": "kubeflow-profile",
        "katib.kubeflow.org/metrics-collector-injection": "enabled",
        "serving.kubeflow.org/inferenceservice": "enabled",
        "pipelines.kubeflow.org/enabled": "true",
        "istio-injection": "enabled",
    }
    user = {"kind": "User", "name": owner, "apiGroup": _RBAC}
    made = [
        _object("Namespace", namespace, labels=labels, annotations={"owner": owner}),
        _object("ResourceQuota", "kf-resource-quota", namespace, spec={"hard": hard}),
        # A quota refuses pods that name no request: Kubeflow's users meet that too, and an
        # administrator's cure is this.
        _object(
            "LimitRange",
            "defaults",
            namespace,
            spec={
                "limits": [
                    {
                        "type": "Container",
                        "defaultRequest": {"cpu": "10m", "memory": "32Mi"},
                        "default": {"cpu": "1", "memory": "512Mi"},
                    }
                ]
            },
        ),
        _binding("namespaceAdmin", "kubeflow-admin", user, namespace),
    ]
    for account, role in (("default-editor", "edit"), ("default-viewer", "view")):
        made.append(_object("ServiceAccount", account, namespace))
        subject = _account(account, namespace)
        made.append(_binding(account, f"kubeflow-{role}", subject, namespace))
    return made


def start() -> list[Manifest]:
    """All that the cluster starts with."""
    return [*storage(), *kubeflow_roles(), *dns(), *profile(PROFILE)]
