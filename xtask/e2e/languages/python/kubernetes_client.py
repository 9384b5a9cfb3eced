"""The client `kubernetes`: lists, watches, patches, executes a command in a pod, and runs an operator.

The arguments are the namespace and the name of a running pod in it. Every failure ends the program with an exception.
"""

import os
import sys
import threading

from kubernetes import client, config, watch
from kubernetes.stream import stream

namespace, pod = sys.argv[1:]
config.load_kube_config()
core = client.CoreV1Api()


def config_map(name, data):
    metadata = client.V1ObjectMeta(name=name, labels={"app": "python"})
    return client.V1ConfigMap(metadata=metadata, data=data)


def run_operator():
    """Sets the annotation `seen` of each config map to the value of `data.state`."""
    events = watch.Watch().stream(
        core.list_namespaced_config_map, namespace, label_selector="app=python", timeout_seconds=30
    )
    for event in events:
        found = event["object"]
        seen = (found.metadata.annotations or {}).get("seen")
        if event["type"] in ("ADDED", "MODIFIED") and seen != found.data["state"]:
            patch = {"metadata": {"annotations": {"seen": found.data["state"]}}}
            core.patch_namespaced_config_map(found.metadata.name, namespace, patch)


def wait_until_seen(name, state):
    events = watch.Watch()
    for event in events.stream(
        core.list_namespaced_config_map, namespace, field_selector=f"metadata.name={name}", timeout_seconds=30
    ):
        if (event["object"].metadata.annotations or {}).get("seen") == state:
            events.stop()
            return
    raise AssertionError(f"{name} has not been annotated with {state}")


threading.Thread(target=run_operator, daemon=True).start()
core.create_namespaced_config_map(namespace, config_map("a", {"state": "one"}))
wait_until_seen("a", "one")
core.patch_namespaced_config_map("a", namespace, {"data": {"state": "two"}})
wait_until_seen("a", "two")

core.create_namespaced_config_map(namespace, config_map("b", {"state": "one"}))
names = [item.metadata.name for item in core.list_namespaced_config_map(namespace, label_selector="app=python").items]
assert names == ["a", "b"], names
page = core.list_namespaced_config_map(namespace, label_selector="app=python", limit=1)
assert page.metadata._continue and len(page.items) == 1, page.metadata
version = page.metadata.resource_version
try:
    core.read_namespaced_config_map("missing", namespace)
    raise AssertionError("a missing config map was read")
except client.ApiException as error:
    assert error.status == 404, error

output = stream(
    core.connect_get_namespaced_pod_exec,
    pod,
    namespace,
    command=["echo", "hello"],
    stdout=True,
    stderr=True,
    stdin=False,
    tty=False,
)
assert output.strip() == "hello", output
core.delete_collection_namespaced_config_map(namespace, label_selector="app=python")
assert not core.list_namespaced_config_map(namespace, label_selector="app=python").items
events = watch.Watch().stream(
    core.list_namespaced_config_map,
    namespace,
    label_selector="app=python",
    resource_version=version,
    timeout_seconds=5,
)
seen = [(event["type"], event["object"].metadata.name) for event in events]
assert sorted(event for event in seen if event[0] == "DELETED") == [("DELETED", "a"), ("DELETED", "b")], seen
# End without a finalization of the interpreter, because the thread is still running.
os._exit(0)
