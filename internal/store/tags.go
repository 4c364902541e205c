package store

import "ssmrun"

// Tags are the tags of all kinds of resources. resourceType is AWS's
// ResourceTypeForTagging ("Document", "ManagedInstance", …), id what the
// resource is called there. Nothing here asks whether the resource exists.
type Tags interface {
	// PutTags adds tags, and replaces the values of keys that are there.
	PutTags(scope ssmrun.Scope, resourceType, id string, tags map[string]string) error
	// RemoveTags removes the tags with these keys; a key that is not there is
	// passed over.
	RemoveTags(scope ssmrun.Scope, resourceType, id string, keys []string) error
	// Tags gives the tags of a resource, empty where it has none.
	Tags(scope ssmrun.Scope, resourceType, id string) (map[string]string, error)
	// DropTags removes all tags of a resource.
	DropTags(scope ssmrun.Scope, resourceType, id string) error
	// TaggedIDs gives the ids of the resources of a type whose tag key has one
	// of the values, sorted. nil stands for any value; an empty list that is not
	// nil has no value, and matches nothing.
	TaggedIDs(scope ssmrun.Scope, resourceType, key string, values []string) ([]string, error)
}
