package sqlite

import (
	"maps"
	"slices"

	"ssmrun"
)

const (
	putTag = `INSERT INTO tags (account, region, resource_type, resource_id, key, value) VALUES (?,?,?,?,?,?)
		ON CONFLICT (account, region, resource_type, resource_id, key) DO UPDATE SET value = excluded.value`
	ofResource  = ` WHERE account = ? AND region = ? AND resource_type = ? AND resource_id = ?`
	removeTags  = `DELETE FROM tags` + ofResource + ` AND key IN (SELECT value FROM json_each(?))`
	dropTags    = `DELETE FROM tags` + ofResource
	selectTags  = `SELECT key, value FROM tags` + ofResource
	taggedAny   = `SELECT resource_id FROM tags WHERE account = ? AND region = ? AND resource_type = ? AND key = ?`
	taggedOneOf = taggedAny + ` AND value IN (SELECT value FROM json_each(?))`
)

func (t *tx) PutTags(scope ssmrun.Scope, resourceType, id string, tags map[string]string) error {
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		if _, err := t.exec(putTag, scope.Account, scope.Region, resourceType, id, key, tags[key]); err != nil {
			return what(err, "put tags of %s %s", resourceType, id)
		}
	}
	return nil
}

func (t *tx) RemoveTags(scope ssmrun.Scope, resourceType, id string, keys []string) error {
	_, err := t.exec(removeTags, scope.Account, scope.Region, resourceType, id, list(keys))
	return what(err, "remove tags of %s %s", resourceType, id)
}

func (t *tx) DropTags(scope ssmrun.Scope, resourceType, id string) error {
	_, err := t.exec(dropTags, scope.Account, scope.Region, resourceType, id)
	return what(err, "drop tags of %s %s", resourceType, id)
}

func (t *tx) Tags(scope ssmrun.Scope, resourceType, id string) (map[string]string, error) {
	tags := map[string]string{}
	err := t.each(func(s scanner) error {
		var key, value string
		err := s.Scan(&key, &value)
		tags[key] = value
		return err
	}, selectTags, scope.Account, scope.Region, resourceType, id)
	return tags, what(err, "find tags of %s %s", resourceType, id)
}

// TaggedIDs sorts here: its index is in the order of the values, so that one
// value among many resources is found without walking over the others.
func (t *tx) TaggedIDs(scope ssmrun.Scope, resourceType, key string, values []string) ([]string, error) {
	text, args := taggedAny, []any{scope.Account, scope.Region, resourceType, key}
	if values != nil {
		text, args = taggedOneOf, append(args, list(values))
	}
	var ids []string
	err := t.each(func(s scanner) error {
		var id string
		err := s.Scan(&id)
		ids = append(ids, id)
		return err
	}, text, args...)
	slices.Sort(ids)
	return ids, what(err, "find %s by tag %s", resourceType, key)
}
