// Prints one line of JSON for each Protobuf message of one version of Kubernetes: the message of each built-in kind, and
// recursively the messages of the fields.
//
// The program reads the tags of the Go types, and not the .proto files. The .proto files do not show which fields are
// pointers, which fields JSON omits, and which fields have another name in JSON.
package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	apiregistration "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
)

// A message. Its name consists of the package path and the name of its Go type.
type message struct {
	Name   string  `json:"name"`
	Kinds  []kind  `json:"kinds,omitempty"`
	Fields []field `json:"fields"`
}

type kind struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
}

type field struct {
	Number int    `json:"number"`
	Name   string `json:"name"`
	// A scalar type, "bytes", "strings" (a message that is a list of strings), "message", or one of the specialForms.
	Type string `json:"type"`
	// The name of the message; empty if the type has no message.
	Message string `json:"message,omitempty"`
	// "list", "map", "inline", or empty for a single value.
	Label string `json:"label,omitempty"`
	// Whether JSON omits the zero value, although Protobuf contains it.
	OmitZero bool `json:"omitZero,omitempty"`
	// Whether JSON has null for an absent value.
	Null bool `json:"null,omitempty"`
}

// The types with a special form in JSON.
var specialForms = map[string]string{
	"k8s.io/apimachinery/pkg/api/resource.Quantity":                                         "quantity",
	"k8s.io/apimachinery/pkg/util/intstr.IntOrString":                                       "intOrString",
	"k8s.io/apimachinery/pkg/apis/meta/v1.Time":                                             "time",
	"k8s.io/apimachinery/pkg/apis/meta/v1.MicroTime":                                        "microTime",
	"k8s.io/apimachinery/pkg/apis/meta/v1.Duration":                                         "duration",
	"k8s.io/apimachinery/pkg/apis/meta/v1.FieldsV1":                                         "json",
	"k8s.io/apimachinery/pkg/runtime.RawExtension":                                          "json",
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1.JSON":                         "json",
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1.JSONSchemaPropsOrArray":       "schemaOrList",
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1.JSONSchemaPropsOrBool":        "schemaOrBool",
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1.JSONSchemaPropsOrStringArray": "schemaOrStrings",
}

var messages = map[string]*message{}

func main() {
	kinds := scheme.Scheme
	must(apiextensions.AddToScheme(kinds))
	must(apiregistration.AddToScheme(kinds))
	must(meta.AddMetaToScheme(kinds))
	for gvk, goType := range kinds.AllKnownTypes() {
		if gvk.Version != runtime.APIVersionInternal && isSelected(gvk, goType) {
			name := addMessage(goType)
			version := kind{gvk.GroupVersion().String(), gvk.Kind}
			messages[name].Kinds = append(messages[name].Kinds, version)
		}
	}
	encoder := json.NewEncoder(os.Stdout)
	for _, name := range slices.Sorted(maps.Keys(messages)) {
		slices.SortFunc(messages[name].Kinds, func(a, b kind) int { return strings.Compare(a.APIVersion, b.APIVersion) })
		must(encoder.Encode(messages[name]))
	}
}

// Whether the client can read the kind as Protobuf. The program prints only these kinds. From the package meta/v1, the
// client reads only Status, PartialObjectMetadata and PartialObjectMetadataList. A type without a Protobuf codec of its
// own cannot be sent as Protobuf.
func isSelected(gvk schema.GroupVersionKind, goType reflect.Type) bool {
	inMeta := goType.PkgPath() == "k8s.io/apimachinery/pkg/apis/meta/v1"
	if inMeta && !(gvk.Kind == "Status" && gvk.Group == "" || strings.HasPrefix(gvk.Kind, "PartialObjectMetadata") && gvk.Group == "meta.k8s.io" && gvk.Version == "v1") {
		return false
	}
	return isMessage(goType)
}

// Whether Protobuf has a message for the type.
func isMessage(goType reflect.Type) bool {
	_, ok := reflect.PointerTo(goType).MethodByName("MarshalToSizedBuffer")
	return ok
}

func nameOf(goType reflect.Type) string {
	return goType.PkgPath() + "." + goType.Name()
}

// Adds the message of a struct to `messages` if it is not there, and returns the name of the message.
func addMessage(goType reflect.Type) string {
	name := nameOf(goType)
	if messages[name] != nil {
		return name
	}
	found := &message{Name: name, Fields: []field{}}
	messages[name] = found
	for i := range goType.NumField() {
		member := goType.Field(i)
		tag, ok := member.Tag.Lookup("protobuf")
		jsonTag := strings.Split(member.Tag.Get("json"), ",")
		if !ok || tag == "-" || jsonTag[0] == "-" {
			if member.Name != "TypeMeta" && jsonTag[0] != "-" {
				fail("%s.%s has no Protobuf tag", name, member.Name)
			}
			continue
		}
		parts := strings.Split(tag, ",")
		number, err := strconv.Atoi(parts[1])
		must(err)
		found.Fields = append(found.Fields, describeField(name, member, number, jsonTag))
	}
	slices.SortFunc(found.Fields, func(a, b field) int { return a.Number - b.Number })
	return name
}

func describeField(parent string, member reflect.StructField, number int, jsonTag []string) field {
	goType := member.Type
	described := field{Number: number, Name: jsonTag[0]}
	omitEmpty, omitZero := slices.Contains(jsonTag[1:], "omitempty"), slices.Contains(jsonTag[1:], "omitzero")
	isPointer := goType.Kind() == reflect.Pointer
	if isPointer {
		goType = goType.Elem()
	}
	isSpecial := specialForms[nameOf(goType)] != ""
	isList := goType.Kind() == reflect.Slice && goType.Elem().Kind() != reflect.Uint8 && !isMessage(goType) && !isSpecial
	isBytes := goType.Kind() == reflect.Slice && goType.Elem().Kind() == reflect.Uint8
	switch {
	case member.Anonymous && jsonTag[0] == "" || slices.Contains(jsonTag[1:], "inline"):
		described.Label = "inline"
		described.Name = member.Name
	case jsonTag[0] == "":
		described.Name = member.Name
	}
	element := goType
	switch {
	case goType.Kind() == reflect.Map:
		if goType.Key().Kind() != reflect.String {
			fail("%s.%s is a map with keys of the type %s", parent, member.Name, goType.Key())
		}
		described.Label, element = "map", goType.Elem()
	case isList:
		described.Label, element = "list", goType.Elem()
	}
	described.Type, described.Message = typeOf(parent+"."+member.Name, element)
	single := described.Label == ""
	isStruct := goType.Kind() == reflect.Struct
	described.OmitZero = single && !isPointer && (omitZero || omitEmpty && !isStruct)
	nullable := isPointer || isList || isBytes || goType.Kind() == reflect.Map
	described.Null = nullable && described.Label != "inline" && !omitEmpty && !omitZero
	return described
}

func typeOf(path string, goType reflect.Type) (string, string) {
	if goType.Kind() == reflect.Pointer {
		goType = goType.Elem()
	}
	if form := specialForms[nameOf(goType)]; form != "" {
		if strings.HasPrefix(form, "schema") {
			return form, addMessage(reflect.TypeFor[apiextensions.JSONSchemaProps]())
		}
		return form, ""
	}
	switch goType.Kind() {
	case reflect.String:
		return "string", ""
	case reflect.Bool:
		return "bool", ""
	case reflect.Int, reflect.Int32, reflect.Int64, reflect.Uint8, reflect.Int16:
		return "int", ""
	case reflect.Uint32, reflect.Uint64:
		return "uint", ""
	case reflect.Float64:
		return "double", ""
	case reflect.Struct:
		return "message", addMessage(goType)
	case reflect.Slice:
		if goType.Elem().Kind() == reflect.Uint8 {
			return "bytes", ""
		}
		if isMessage(goType) && goType.Elem().Kind() == reflect.String {
			return "strings", ""
		}
	}
	fail("%s has the type %s, which has no known form", path, goType)
	return "", ""
}

func must(err error) {
	if err != nil {
		fail("%v", err)
	}
}

func fail(format string, values ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", values...)
	os.Exit(1)
}
