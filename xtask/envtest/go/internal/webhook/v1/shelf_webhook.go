// Package v1 has the admission webhooks of Shelf.
package v1

import (
	"context"
	"errors"
	"fmt"
	"strings"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	libraryv1 "example.com/shelf/api/v1"
)

// SetupShelfWebhookWithManager adds the webhooks to the server of a manager.
func SetupShelfWebhookWithManager(mgr ctrl.Manager) error {
	return ctrl.NewWebhookManagedBy(mgr, &libraryv1.Shelf{}).
		WithDefaulter(Defaulter{}).WithValidator(Validator{}).Complete()
}

// Defaulter sets Spec.Order of a Shelf to Given if Spec.Order is empty.
type Defaulter struct{}

// Default implements admission.Defaulter.
func (Defaulter) Default(_ context.Context, shelf *libraryv1.Shelf) error {
	if shelf.Spec.Order == "" {
		shelf.Spec.Order = libraryv1.Given
	}
	return nil
}

// Validator refuses titles in capital letters, the removal of all books, and the deletion of a locked Shelf. It warns
// about titles of more than 100 bytes.
type Validator struct{}

// ValidateCreate implements admission.Validator.
func (Validator) ValidateCreate(_ context.Context, shelf *libraryv1.Shelf) (admission.Warnings, error) {
	return validate(shelf)
}

// ValidateUpdate implements admission.Validator.
func (Validator) ValidateUpdate(_ context.Context, old, shelf *libraryv1.Shelf) (admission.Warnings, error) {
	if len(old.Spec.Books) > 0 && len(shelf.Spec.Books) == 0 {
		return nil, errors.New("a shelf keeps at least one book")
	}
	return validate(shelf)
}

// ValidateDelete implements admission.Validator.
func (Validator) ValidateDelete(_ context.Context, shelf *libraryv1.Shelf) (admission.Warnings, error) {
	if shelf.Spec.Locked {
		return nil, fmt.Errorf("shelf %s is locked", shelf.Name)
	}
	return nil, nil
}

func validate(shelf *libraryv1.Shelf) (admission.Warnings, error) {
	var warnings admission.Warnings
	for _, book := range shelf.Spec.Books {
		if book == strings.ToUpper(book) && book != strings.ToLower(book) {
			return nil, fmt.Errorf("the title %q is in capital letters", book)
		}
		if len(book) > 100 {
			warnings = append(warnings, "a title is long")
		}
	}
	return warnings, nil
}
