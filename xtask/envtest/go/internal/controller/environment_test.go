package controller

import (
	"slices"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// These tests check the control plane. Test suites that use envtest rely on the checked behaviour.

func TestNamespacesStayTerminating(t *testing.T) {
	ctx := t.Context()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "terminating"}}
	if err := k8sClient.Create(ctx, ns); err != nil {
		t.Fatal(err)
	}
	if err := k8sClient.Delete(ctx, ns); err != nil {
		t.Fatal(err)
	}
	if err := k8sClient.Get(ctx, client.ObjectKeyFromObject(ns), ns); err != nil {
		t.Fatal(err)
	}
	if ns.Status.Phase != corev1.NamespaceTerminating {
		t.Errorf("the phase is %s", ns.Status.Phase)
	}
}

func TestDependentsOutliveTheirOwner(t *testing.T) {
	ctx := t.Context()
	owner := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "owner"}}
	if err := k8sClient.Create(ctx, owner); err != nil {
		t.Fatal(err)
	}
	dependent := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
		Namespace: "default", Name: "dependent",
		OwnerReferences: []metav1.OwnerReference{{
			APIVersion: "v1", Kind: "ConfigMap", Name: owner.Name, UID: owner.UID,
		}},
	}}
	if err := k8sClient.Create(ctx, dependent); err != nil {
		t.Fatal(err)
	}
	if err := k8sClient.Delete(ctx, owner, client.PropagationPolicy(metav1.DeletePropagationBackground)); err != nil {
		t.Fatal(err)
	}
	if err := k8sClient.Get(ctx, client.ObjectKeyFromObject(owner), owner); !apierrors.IsNotFound(err) {
		t.Errorf("the owner: %v", err)
	}
	if err := k8sClient.Get(ctx, client.ObjectKeyFromObject(dependent), dependent); err != nil {
		t.Error(err)
	}
}

// clientOf adds a user to the control plane, and returns a client with the certificate that the control plane issues.
func clientOf(t *testing.T, user envtest.User) client.Client {
	t.Helper()
	added, err := env.AddUser(user, &rest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(added.Config(), client.Options{Scheme: scheme.Scheme})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAUserHasTheNameAndTheGroupsOfItsCertificate(t *testing.T) {
	c := clientOf(t, envtest.User{Name: "ada", Groups: []string{"readers", "writers"}})
	review := &authenticationv1.SelfSubjectReview{}
	if err := c.Create(t.Context(), review); err != nil {
		t.Fatal(err)
	}
	info := review.Status.UserInfo
	if info.Username != "ada" || !slices.Equal(info.Groups, []string{"readers", "writers", "system:authenticated"}) {
		t.Errorf("the user is %s of %v", info.Username, info.Groups)
	}
}
