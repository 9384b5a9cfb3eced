package controller

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	libraryv1 "example.com/shelf/api/v1"
)

func shelf(name string, books ...string) *libraryv1.Shelf {
	return &libraryv1.Shelf{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec:       libraryv1.ShelfSpec{Books: books},
	}
}

func TestAConfigMapHasTheBooksOfItsShelf(t *testing.T) {
	ctx := t.Context()
	s := shelf("novels", "Middlemarch", "Emma")
	if err := k8sClient.Create(ctx, s); err != nil {
		t.Fatal(err)
	}
	key := client.ObjectKeyFromObject(s)
	var catalogue corev1.ConfigMap
	hasBooks := func(books string) func(context.Context) bool {
		return func(ctx context.Context) bool {
			return k8sClient.Get(ctx, key, &catalogue) == nil && catalogue.Data["books"] == books
		}
	}
	eventually(t, "the catalogue", hasBooks("Middlemarch\nEmma"))
	eventually(t, "the status", func(ctx context.Context) bool {
		return k8sClient.Get(ctx, key, s) == nil && s.Status.Count == 2 &&
			meta.IsStatusConditionTrue(s.Status.Conditions, "Ready")
	})
	patch := client.MergeFrom(s.DeepCopy())
	s.Spec.Order = libraryv1.Alphabetical
	if err := k8sClient.Patch(ctx, s, patch); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the sorted catalogue", hasBooks("Emma\nMiddlemarch"))
	if err := k8sClient.Delete(ctx, &catalogue); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the catalogue that is written again", hasBooks("Emma\nMiddlemarch"))
	if err := k8sClient.Delete(ctx, s); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the deletion", func(ctx context.Context) bool {
		return apierrors.IsNotFound(k8sClient.Get(ctx, key, s)) &&
			apierrors.IsNotFound(k8sClient.Get(ctx, key, &catalogue))
	})
}

func TestAnInvalidShelfIsRefused(t *testing.T) {
	for name, books := range map[string][]string{"empty": {""}, "twice": {"Emma", "Emma"}} {
		if err := k8sClient.Create(t.Context(), shelf(name, books...)); !apierrors.IsInvalid(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s := shelf("order", "Emma")
	s.Spec.Order = "Random"
	if err := k8sClient.Create(t.Context(), s); !apierrors.IsInvalid(err) {
		t.Error(err)
	}
}
