// Package controller has the controller of Shelf.
package controller

import (
	"context"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	libraryv1 "example.com/shelf/api/v1"
)

// Finalizer keeps a Shelf until its ConfigMap is deleted: envtest has no garbage collector.
const Finalizer = "library.example.com/catalogue"

// ShelfReconciler writes the books of each Shelf into a ConfigMap of the same name.
type ShelfReconciler struct {
	client.Client
}

// Reconcile implements reconcile.Reconciler.
func (r *ShelfReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var shelf libraryv1.Shelf
	if err := r.Get(ctx, req.NamespacedName, &shelf); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	catalogue := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: shelf.Namespace, Name: shelf.Name}}
	if !shelf.DeletionTimestamp.IsZero() {
		if err := client.IgnoreNotFound(r.Delete(ctx, catalogue)); err != nil {
			return ctrl.Result{}, err
		}
		if controllerutil.RemoveFinalizer(&shelf, Finalizer) {
			return ctrl.Result{}, client.IgnoreNotFound(r.Update(ctx, &shelf))
		}
		return ctrl.Result{}, nil
	}
	if controllerutil.AddFinalizer(&shelf, Finalizer) {
		if err := r.Update(ctx, &shelf); err != nil {
			return ctrl.Result{}, err
		}
	}
	books := slices.Clone(shelf.Spec.Books)
	if shelf.Spec.Order == libraryv1.Alphabetical {
		slices.Sort(books)
	}
	_, err := controllerutil.CreateOrUpdate(ctx, r.Client, catalogue, func() error {
		catalogue.Data = map[string]string{"books": strings.Join(books, "\n")}
		return controllerutil.SetControllerReference(&shelf, catalogue, r.Scheme())
	})
	if err != nil {
		return ctrl.Result{}, err
	}
	shelf.Status.Count = int32(len(books))
	meta.SetStatusCondition(&shelf.Status.Conditions, metav1.Condition{
		Type: "Ready", Status: metav1.ConditionTrue, Reason: "Written",
		Message: "the catalogue is complete", ObservedGeneration: shelf.Generation,
	})
	return ctrl.Result{}, r.Status().Update(ctx, &shelf)
}

// SetupWithManager adds the controller to a manager.
func (r *ShelfReconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).For(&libraryv1.Shelf{}).Owns(&corev1.ConfigMap{}).Complete(r)
}
