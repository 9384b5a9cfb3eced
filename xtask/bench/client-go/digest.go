package main

import (
	"bytes"
	"encoding/json"
	"hash/fnv"
)

// digest is an order-independent hash of objects, equal to the Digest of shared/digest.rs.
type digest struct {
	Count uint64 `json:"count"`
	Sum   uint64 `json:"sum"`
}

// addObject adds an object to the digest.
func (d *digest) addObject(object any) error {
	text, err := json.Marshal(object)
	if err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var fields map[string]any
	if err := decoder.Decode(&fields); err != nil {
		return err
	}
	delete(fields, "apiVersion")
	delete(fields, "kind")
	if metadata, ok := fields["metadata"].(map[string]any); ok {
		delete(metadata, "managedFields")
	}
	removeNulls(fields)
	var canonical bytes.Buffer
	encoder := json.NewEncoder(&canonical)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(fields); err != nil {
		return err
	}
	hash := fnv.New64a()
	hash.Write(bytes.TrimSuffix(canonical.Bytes(), []byte("\n")))
	d.Count++
	d.Sum += hash.Sum64()
	return nil
}

// removeNulls removes all fields that are null.
func removeNulls(value any) {
	switch value := value.(type) {
	case map[string]any:
		for name, field := range value {
			if field == nil {
				delete(value, name)
			} else {
				removeNulls(field)
			}
		}
	case []any:
		for _, item := range value {
			removeNulls(item)
		}
	}
}

// digestOf computes the digest of a list of objects.
func digestOf[T any](objects []T) (*digest, error) {
	sum := &digest{}
	for _, object := range objects {
		if err := sum.addObject(object); err != nil {
			return nil, err
		}
	}
	return sum, nil
}
