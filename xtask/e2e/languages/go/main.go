// A client-go informer, and an operator that reads the informer's store. The program lists, watches and patches config
// maps, and executes a command in a pod.
//
// The arguments are a namespace, and the name of a running pod in this namespace. Every failure ends the program with
// exit code 1.
package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/util/workqueue"
)

func main() {
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(namespace, pod string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	selected := informers.WithTweakListOptions(func(options *metav1.ListOptions) { options.LabelSelector = "app=go" })
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(namespace), selected)
	maps := factory.Core().V1().ConfigMaps()
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[string]())
	defer queue.ShutDown()
	add := func(object any) {
		if key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(object); err == nil {
			queue.Add(key)
		}
	}
	handler := cache.ResourceEventHandlerFuncs{AddFunc: add, DeleteFunc: add, UpdateFunc: func(_, object any) { add(object) }}
	if _, err := maps.Informer().AddEventHandler(handler); err != nil {
		return err
	}
	factory.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), maps.Informer().HasSynced) {
		return fmt.Errorf("the informer has not synced")
	}
	failures := make(chan error, 1)
	go func() {
		for {
			key, shutdown := queue.Get()
			if shutdown {
				return
			}
			if err := reconcile(ctx, client, maps.Informer().GetIndexer(), key); err != nil {
				select {
				case failures <- err:
				default:
				}
			}
			queue.Done(key)
		}
	}()
	if err := changeConfigMap(ctx, client, namespace); err != nil {
		return err
	}
	if err := execute(ctx, config, client, namespace, pod); err != nil {
		return err
	}
	if err := wait.PollUntilContextCancel(ctx, 50*time.Millisecond, true, func(context.Context) (bool, error) {
		return len(maps.Informer().GetIndexer().ListKeys()) == 0, nil
	}); err != nil {
		return fmt.Errorf("the informer has not seen the deletion: %w", err)
	}
	select {
	case err := <-failures:
		return err
	default:
		return nil
	}
}

// reconcile sets the annotation `seen` of a config map to the value of `data.state`.
func reconcile(ctx context.Context, client kubernetes.Interface, indexer cache.Indexer, key string) error {
	object, exists, err := indexer.GetByKey(key)
	if err != nil || !exists {
		return err
	}
	found := object.(*corev1.ConfigMap)
	if found.Annotations["seen"] == found.Data["state"] {
		return nil
	}
	patch := fmt.Sprintf(`{"metadata":{"annotations":{"seen":%q}}}`, found.Data["state"])
	_, err = client.CoreV1().ConfigMaps(found.Namespace).Patch(
		ctx, found.Name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	return err
}

// changeConfigMap creates, patches and deletes a config map. After each patch, changeConfigMap waits until the operator
// has set the annotation `seen`.
func changeConfigMap(ctx context.Context, client kubernetes.Interface, namespace string) error {
	maps := client.CoreV1().ConfigMaps(namespace)
	metadata := metav1.ObjectMeta{Name: "go", Labels: map[string]string{"app": "go"}}
	object := &corev1.ConfigMap{ObjectMeta: metadata, Data: map[string]string{"state": "one"}}
	if _, err := maps.Create(ctx, object, metav1.CreateOptions{}); err != nil {
		return err
	}
	for _, state := range []string{"one", "two"} {
		patch := fmt.Sprintf(`{"data":{"state":%q}}`, state)
		if _, err := maps.Patch(ctx, "go", types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
			return err
		}
		if err := wait.PollUntilContextCancel(ctx, 50*time.Millisecond, true, func(ctx context.Context) (bool, error) {
			found, err := maps.Get(ctx, "go", metav1.GetOptions{})
			return err == nil && found.Annotations["seen"] == state, err
		}); err != nil {
			return fmt.Errorf("the config map has not been annotated with %s: %w", state, err)
		}
	}
	list, err := maps.List(ctx, metav1.ListOptions{LabelSelector: "app=go"})
	if err != nil {
		return err
	}
	if len(list.Items) != 1 {
		return fmt.Errorf("the list has %d config maps", len(list.Items))
	}
	return maps.Delete(ctx, "go", metav1.DeleteOptions{})
}

// execute runs `echo hello` in the pod over a WebSocket.
func execute(ctx context.Context, config *rest.Config, client kubernetes.Interface, namespace, pod string) error {
	options := &corev1.PodExecOptions{Command: []string{"echo", "hello"}, Stdout: true, Stderr: true}
	request := client.CoreV1().RESTClient().Get().Namespace(namespace).Resource("pods").Name(pod).SubResource("exec")
	url := request.VersionedParams(options, scheme.ParameterCodec).URL()
	executor, err := remotecommand.NewWebSocketExecutor(config, "GET", url.String())
	if err != nil {
		return err
	}
	var output bytes.Buffer
	if err := executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: &output, Stderr: os.Stderr}); err != nil {
		return err
	}
	if strings.TrimSpace(output.String()) != "hello" {
		return fmt.Errorf("the output is %q", output.String())
	}
	return nil
}
