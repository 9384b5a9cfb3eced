// Package v1 has the kind Shelf of the group library.example.com.
// +groupName=library.example.com
package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the API group and the version of the kinds in this package.
var GroupVersion = schema.GroupVersion{Group: "library.example.com", Version: "v1"}

// Order is the order of the books in the ConfigMap of a Shelf.
type Order string

// The values of Order.
const (
	Given        Order = "Given"
	Alphabetical Order = "Alphabetical"
)

// ShelfSpec is the desired state of a Shelf.
type ShelfSpec struct {
	Books []string `json:"books"`
	// Order has the default value "Given". The defaulting webhook sets this value if Order is empty.
	Order Order `json:"order,omitempty"`
	// Locked makes the validating webhook refuse the deletion of the Shelf.
	Locked bool `json:"locked,omitempty"`
}

// ShelfStatus is the observed state of a Shelf.
type ShelfStatus struct {
	Count      int32              `json:"count"`
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// Shelf is a list of books. The controller writes the books into a ConfigMap.
type Shelf struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   ShelfSpec   `json:"spec"`
	Status ShelfStatus `json:"status,omitempty"`
}

// ShelfList is a list of Shelf.
type ShelfList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Shelf `json:"items"`
}

// DeepCopyObject implements runtime.Object.
func (s *Shelf) DeepCopyObject() runtime.Object { return s.DeepCopy() }

// DeepCopy returns a copy that shares no memory with the original.
func (s *Shelf) DeepCopy() *Shelf {
	out := *s
	out.ObjectMeta = *s.ObjectMeta.DeepCopy()
	out.Spec.Books = append([]string(nil), s.Spec.Books...)
	out.Status.Conditions = nil
	for i := range s.Status.Conditions {
		out.Status.Conditions = append(out.Status.Conditions, *s.Status.Conditions[i].DeepCopy())
	}
	return &out
}

// DeepCopyObject implements runtime.Object.
func (l *ShelfList) DeepCopyObject() runtime.Object {
	out := *l
	out.ListMeta = *l.ListMeta.DeepCopy()
	out.Items = make([]Shelf, len(l.Items))
	for i := range l.Items {
		out.Items[i] = *l.Items[i].DeepCopy()
	}
	return &out
}

// AddToScheme adds the kinds of this package to a scheme.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion, &Shelf{}, &ShelfList{})
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
