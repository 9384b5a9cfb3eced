package main

import (
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// widget is the custom resource with thirty spec fields.
type widget struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              widgetSpec   `json:"spec"`
	Status            widgetStatus `json:"status"`
}

type widgetSpec struct {
	Image               string            `json:"image"`
	Replicas            int32             `json:"replicas"`
	Paused              bool              `json:"paused"`
	Tier                string            `json:"tier"`
	Owner               string            `json:"owner"`
	Contact             string            `json:"contact,omitempty"`
	Description         string            `json:"description,omitempty"`
	Region              string            `json:"region"`
	Zones               []string          `json:"zones"`
	CPU                 string            `json:"cpu"`
	Memory              string            `json:"memory"`
	StorageClass        string            `json:"storageClass,omitempty"`
	StorageSize         string            `json:"storageSize"`
	AccessMode          string            `json:"accessMode"`
	BackupSchedule      string            `json:"backupSchedule,omitempty"`
	BackupRetentionDays int32             `json:"backupRetentionDays,omitempty"`
	MaintenanceWindow   string            `json:"maintenanceWindow,omitempty"`
	TLSSecret           string            `json:"tlsSecret,omitempty"`
	Hostnames           []string          `json:"hostnames"`
	Ports               []widgetPort      `json:"ports"`
	Args                []string          `json:"args"`
	Environment         map[string]string `json:"environment"`
	FeatureGates        map[string]bool   `json:"featureGates"`
	Parameters          map[string]string `json:"parameters"`
	Priority            int32             `json:"priority"`
	TimeoutSeconds      int64             `json:"timeoutSeconds"`
	MaxSurge            int32             `json:"maxSurge,omitempty"`
	MaxUnavailable      int32             `json:"maxUnavailable,omitempty"`
	LogLevel            string            `json:"logLevel"`
	Revision            int64             `json:"revision"`
}

type widgetPort struct {
	Name string `json:"name"`
	Port int32  `json:"port"`
}

type widgetStatus struct {
	Phase              string            `json:"phase"`
	ObservedGeneration int64             `json:"observedGeneration"`
	ReadyReplicas      int32             `json:"readyReplicas"`
	Conditions         []widgetCondition `json:"conditions"`
}

type widgetCondition struct {
	Type               string `json:"type"`
	Status             string `json:"status"`
	Reason             string `json:"reason"`
	LastTransitionTime string `json:"lastTransitionTime"`
}

type widgetList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata"`
	Items           []widget `json:"items"`
}

// DeepCopyObject implements runtime.Object like the code that deepcopy-gen generates for a kind.
func (w *widget) DeepCopyObject() runtime.Object {
	copied := *w
	copied.ObjectMeta = *w.ObjectMeta.DeepCopy()
	copied.Spec.Zones = slices.Clone(w.Spec.Zones)
	copied.Spec.Hostnames = slices.Clone(w.Spec.Hostnames)
	copied.Spec.Ports = slices.Clone(w.Spec.Ports)
	copied.Spec.Args = slices.Clone(w.Spec.Args)
	copied.Spec.Environment = maps.Clone(w.Spec.Environment)
	copied.Spec.FeatureGates = maps.Clone(w.Spec.FeatureGates)
	copied.Spec.Parameters = maps.Clone(w.Spec.Parameters)
	copied.Status.Conditions = slices.Clone(w.Status.Conditions)
	return &copied
}

// DeepCopyObject implements runtime.Object. Unlike the code that deepcopy-gen generates, it allocates a copy of each
// item, and it copies nil Items as an empty slice.
func (l *widgetList) DeepCopyObject() runtime.Object {
	copied := *l
	copied.ListMeta = *l.ListMeta.DeepCopy()
	copied.Items = make([]widget, 0, len(l.Items))
	for index := range l.Items {
		copied.Items = append(copied.Items, *l.Items[index].DeepCopyObject().(*widget))
	}
	return &copied
}

// widgetInformer returns an informer of widgets. The caller must start the informer.
func widgetInformer(j *job) (cache.SharedIndexInformer, error) {
	version := schema.GroupVersion{Group: "bench.example", Version: "v1"}
	scheme := runtime.NewScheme()
	scheme.AddKnownTypeWithName(version.WithKind("Widget"), &widget{})
	scheme.AddKnownTypeWithName(version.WithKind("WidgetList"), &widgetList{})
	metav1.AddToGroupVersion(scheme, version)
	config := j.jsonConfig()
	config.APIPath = "/apis"
	config.GroupVersion = &version
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	client, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, err
	}
	lists := cache.NewListWatchFromClient(client, "widgets", "", fields.Everything())
	return cache.NewSharedIndexInformer(lists, &widget{}, 0, byNamespace), nil
}
