package awsapi

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"ssmrun"
	"ssmrun/internal/identity"
	"ssmrun/internal/store"
)

// maxTags is how many tags a resource can have.
const maxTags = 50

type tagJSON struct{ Key, Value string }

// tagsIn reads tags; those that may not be are an error of this code.
func tagsIn(list []tagJSON, code ssmrun.Code) (map[string]string, error) {
	tags := make(map[string]string, len(list))
	for _, t := range list {
		if strings.HasPrefix(strings.ToLower(t.Key), "aws:") {
			return nil, ssmrun.Errorf(code, "Tag keys that begin with aws: are AWS's own: %s.", t.Key)
		}
		if _, twice := tags[t.Key]; twice {
			return nil, ssmrun.Errorf(code, "The tag key %s is named more than once.", t.Key)
		}
		tags[t.Key] = t.Value
	}
	return tags, nil
}

// tagsOut writes tags in the order of their keys; an empty list for none.
func tagsOut(tags map[string]string) []tagJSON {
	list := []tagJSON{}
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		list = append(list, tagJSON{key, tags[key]})
	}
	return list
}

// tagsRequest is the input of the three operations.
type tagsRequest struct {
	ResourceType string
	ResourceId   string
	Tags         []tagJSON
	TagKeys      []string
}

func tagsCall(c *Call) (*tagsRequest, error) {
	var in tagsRequest
	if err := decode(c.Body, &in); err != nil {
		return nil, err
	}
	if in.ResourceType == "Document" {
		in.ResourceId = documentName(in.ResourceId)
	}
	c.Subject.Resource = in.ResourceType + " " + clipped(in.ResourceId)
	return &in, nil
}

// taggable tells whether there is a resource that can have tags.
func (a *API) taggable(tx store.Tx, scope ssmrun.Scope, in *tagsRequest) error {
	var there bool
	var err error
	switch in.ResourceType {
	case identity.ManagedInstanceTags:
		// EC2's own CreateTags is not served, so that i- ids are taken here too.
		there, err = known(tx, scope, in.ResourceId, a.cfg.Now())
	case "Document":
		_, err = tx.Document(scope, in.ResourceId) // AWS's own cannot be tagged
		there = err == nil
	case "Parameter": // there are none yet
	default:
		return ssmrun.Errorf("InvalidResourceType", "Resources of type %s cannot have tags here. Types that can: ManagedInstance, Document, Parameter.", in.ResourceType)
	}
	if err != nil && !errors.Is(err, ssmrun.ErrNotFound) {
		return err
	}
	if !there {
		return ssmrun.Errorf("InvalidResourceId", "There is no %s %s in this account and region.", in.ResourceType, clipped(in.ResourceId))
	}
	return nil
}

func (a *API) addTagsToResource(ctx context.Context, c *Call) (any, error) {
	in, err := tagsCall(c)
	if err != nil {
		return nil, err
	}
	tags, err := tagsIn(in.Tags, ssmrun.CodeValidation)
	if err != nil {
		return nil, err
	}
	err = a.cfg.Store.Update(ctx, func(tx store.Tx) error {
		if err := a.taggable(tx, c.Scope, in); err != nil {
			return err
		}
		all, err := tx.Tags(c.Scope, in.ResourceType, in.ResourceId)
		if err != nil {
			return err
		}
		maps.Copy(all, tags)
		if len(all) > maxTags {
			return ssmrun.Errorf("TooManyTagsError", "%s %s can have %d tags, and with these it would have %d.", in.ResourceType, in.ResourceId, maxTags, len(all))
		}
		return tx.PutTags(c.Scope, in.ResourceType, in.ResourceId, tags)
	})
	return struct{}{}, err
}

func (a *API) removeTagsFromResource(ctx context.Context, c *Call) (any, error) {
	in, err := tagsCall(c)
	if err != nil {
		return nil, err
	}
	err = a.cfg.Store.Update(ctx, func(tx store.Tx) error {
		if err := a.taggable(tx, c.Scope, in); err != nil {
			return err
		}
		return tx.RemoveTags(c.Scope, in.ResourceType, in.ResourceId, in.TagKeys)
	})
	return struct{}{}, err
}

func (a *API) listTagsForResource(ctx context.Context, c *Call) (any, error) {
	in, err := tagsCall(c)
	if err != nil {
		return nil, err
	}
	var out struct{ TagList []tagJSON }
	err = a.cfg.Store.View(ctx, func(tx store.Tx) error {
		if err := a.taggable(tx, c.Scope, in); err != nil {
			return err
		}
		tags, err := tx.Tags(c.Scope, in.ResourceType, in.ResourceId)
		out.TagList = tagsOut(tags)
		return err
	})
	return out, err
}
