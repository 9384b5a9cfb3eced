"""A kopf operator for config maps. The program ends when the operator has handled the creation, an update and
the deletion of a config map.

The arguments are the namespace and the name of a running pod in it. Every failure ends the program with an exception.
"""

import asyncio
import sys

import kopf
from kubernetes import client, config

namespace, _ = sys.argv[1:]
SELECTED = {"app": "kopf"}
config.load_kube_config()
core = client.CoreV1Api()
handled = []


@kopf.on.startup()
def configure(settings, **_):
    settings.posting.enabled = False
    settings.persistence.finalizer = "kopf.example.com/finalizer"


@kopf.on.create("configmaps", labels=SELECTED)
def handle_creation(name, patch, **_):
    patch.metadata.annotations["seen"] = "created"
    handled.append("created")


@kopf.on.update("configmaps", labels=SELECTED, field="data.state")
def handle_update(new, patch, **_):
    patch.metadata.annotations["seen"] = new
    handled.append("updated")


@kopf.on.delete("configmaps", labels=SELECTED)
def handle_deletion(**_):
    handled.append("deleted")


def find_config_map(name):
    try:
        return core.read_namespaced_config_map(name, namespace)
    except client.ApiException as error:
        if error.status == 404:
            return None
        raise


async def wait_until(name, condition):
    for _ in range(300):
        found = await asyncio.to_thread(find_config_map, name)
        if condition(found):
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"{name} is {found}; handled: {handled}")


def is_annotated_with(state):
    return lambda found: found is not None and (found.metadata.annotations or {}).get("seen") == state


async def main():
    ready, stop = asyncio.Event(), asyncio.Event()
    operator = asyncio.create_task(
        kopf.operator(namespaces=[namespace], ready_flag=ready, stop_flag=stop, standalone=True)
    )
    await ready.wait()
    metadata = client.V1ObjectMeta(name="kopf", labels=SELECTED)
    core.create_namespaced_config_map(namespace, client.V1ConfigMap(metadata=metadata, data={"state": "one"}))
    await wait_until("kopf", is_annotated_with("created"))
    core.patch_namespaced_config_map("kopf", namespace, {"data": {"state": "two"}})
    await wait_until("kopf", is_annotated_with("two"))
    core.delete_namespaced_config_map("kopf", namespace)
    await wait_until("kopf", lambda found: found is None)
    assert handled == ["created", "updated", "deleted"], handled
    stop.set()
    await asyncio.wait_for(operator, 30)


asyncio.run(main())
