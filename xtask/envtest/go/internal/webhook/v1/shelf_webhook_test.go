package v1

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	libraryv1 "example.com/shelf/api/v1"
)

func shelf(name string, books ...string) *libraryv1.Shelf {
	return &libraryv1.Shelf{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec:       libraryv1.ShelfSpec{Books: books},
	}
}

// create creates a Shelf. It tries again until the webhook server has started and the API server has read the webhook
// configurations.
func create(t *testing.T, s *libraryv1.Shelf) {
	t.Helper()
	var last error
	created := func(ctx context.Context) (bool, error) {
		last = k8sClient.Create(ctx, s)
		if last == nil && s.Spec.Order == "" {
			return false, k8sClient.Delete(ctx, s)
		}
		return last == nil, nil
	}
	if err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, 20*time.Second, true, created); err != nil {
		t.Fatalf("%v: %v", err, last)
	}
}

// checkDenied checks that the validating webhook has refused a request for this reason.
func checkDenied(t *testing.T, err error, reason string) {
	t.Helper()
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), `"vshelf.library.example.com" denied`) ||
		!strings.Contains(err.Error(), reason) {
		t.Errorf("%v", err)
	}
}

func TestTheOrderHasADefault(t *testing.T) {
	s := shelf("default-order", "Emma")
	create(t, s)
	if s.Spec.Order != libraryv1.Given {
		t.Errorf("the order is %q", s.Spec.Order)
	}
}

func TestAnInvalidShelfIsRefused(t *testing.T) {
	ctx := t.Context()
	s := shelf("valid", "Emma")
	create(t, s)
	checkDenied(t, k8sClient.Create(ctx, shelf("loud", "EMMA")), `the title "EMMA" is in capital letters`)
	s.Spec.Books = []string{}
	checkDenied(t, k8sClient.Update(ctx, s), "a shelf keeps at least one book")
}

func TestALockedShelfIsNotDeleted(t *testing.T) {
	ctx := t.Context()
	s := shelf("locked", "Emma")
	s.Spec.Locked = true
	create(t, s)
	checkDenied(t, k8sClient.Delete(ctx, s), "shelf locked is locked")
	patch := client.MergeFrom(s.DeepCopy())
	s.Spec.Locked = false
	if err := k8sClient.Patch(ctx, s, patch); err != nil {
		t.Fatal(err)
	}
	if err := k8sClient.Delete(ctx, s); err != nil {
		t.Fatal(err)
	}
}

// warningRecorder keeps the texts of warnings.
type warningRecorder struct{ texts []string }

func (r *warningRecorder) HandleWarningHeader(_ int, _ string, text string) {
	r.texts = append(r.texts, text)
}

func TestALongTitleCausesAWarning(t *testing.T) {
	create(t, shelf("short", "Emma"))
	var warnings warningRecorder
	config := rest.CopyConfig(restConfig)
	config.WarningHandler = &warnings
	c, err := client.New(config, client.Options{Scheme: scheme.Scheme})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Create(t.Context(), shelf("long", strings.Repeat("a", 101))); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(warnings.texts, []string{"a title is long"}) {
		t.Errorf("%q", warnings.texts)
	}
}
