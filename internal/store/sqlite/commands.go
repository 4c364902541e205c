package sqlite

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"ssmrun"
)

const (
	commandColumns = `c.n, c.id, c.newest_first, c.status, c.details, c.document, c.revision, c.counts, c.turn, c.steps,
		c.caller, c.comment, c.version, c.expires_after, c.timeout_seconds, c.max_concurrency, c.max_errors,
		c.output_region, c.output_bucket, c.output_prefix, c.service_role`
	selectCommand = `SELECT ` + commandColumns + ` FROM commands c WHERE c.scope = ? AND c.id = ?`
	selectByToken = `SELECT ` + commandColumns + ` FROM commands c WHERE c.token = ?`
	selectInput   = `SELECT n.parameters, n.instance_ids, n.targets, d.content FROM commands_input n
		JOIN commands_content d ON d.n = n.content WHERE n.n = ?`

	insertCommand = `INSERT INTO commands (scope, id, newest_first, open, status, details, document, revision, counts,
		turn, steps, caller, token, comment, version, expires_after, timeout_seconds, max_concurrency, max_errors,
		output_region, output_bucket, output_prefix, service_role)
		VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)`
	insertInput      = `INSERT INTO commands_input (n, content, parameters, instance_ids, targets) VALUES (?,?,?,?,?)`
	selectContent    = `SELECT n FROM commands_content WHERE scope = ? AND hash = ?`
	insertContent    = `INSERT INTO commands_content (scope, hash, content) VALUES (?,?,?)`
	updateCommandRow = `UPDATE commands SET status = ?, details = ?, open = ?, counts = ?, turn = ?,
		revision = revision + 1 WHERE n = ? RETURNING revision`
)

func (t *tx) InsertCommand(c *ssmrun.Command, token string, invocations []ssmrun.Invocation) error {
	return what(t.insertCommand(c, token, invocations), "insert command %s", c.ID)
}

func (t *tx) insertCommand(c *ssmrun.Command, token string, invocations []ssmrun.Invocation) error {
	for i := range invocations {
		v := &invocations[i]
		switch {
		case v.CommandID != c.ID || v.Scope != c.Scope:
			return t.refuse(fmt.Errorf("its invocation on %s names command %s in another place", v.InstanceID, v.CommandID))
		case !v.RequestedAt.Equal(c.RequestedAt):
			return t.refuse(fmt.Errorf("its invocation on %s is of another time", v.InstanceID))
		}
	}
	scope, err := t.makeScope(c.Scope)
	if err != nil {
		return err
	}
	var texts [5]string
	for i, v := range []any{c.Counts, c.Steps, c.Parameters, c.InstanceIDs, c.Targets} {
		if texts[i], err = asJSON(v); err != nil {
			return t.refuse(err)
		}
	}
	n, err := t.insert(insertCommand, scope, c.ID, newestFirst(c.RequestedAt), !c.State.Terminal(),
		c.State.Status, c.State.Details, c.Document, c.Revision, texts[0], c.Turn, texts[1], c.Caller,
		tokenKey(c.Scope, c.Caller, token), c.Comment, c.Version, micros(c.ExpiresAfter), c.TimeoutSeconds,
		c.MaxConcurrency, c.MaxErrors, c.Output.Region, c.Output.Bucket, c.Output.Prefix, c.ServiceRole)
	if err != nil {
		return err
	}
	t.meet(c.Scope, c.ID, n)
	content, err := t.keepContent(scope, c.Content)
	if err != nil {
		return err
	}
	if _, err := t.exec(insertInput, n, content, texts[2], texts[3], texts[4]); err != nil {
		return err
	}
	for i := range invocations {
		if err := t.insertInvocation(n, &invocations[i]); err != nil {
			return err
		}
	}
	return nil
}

// keepContent stores a content that is not there yet and gives its number.
func (t *tx) keepContent(scope int64, content string) (int64, error) {
	hash := sha256.Sum256([]byte(content))
	var n int64
	err := t.one(func(s scanner) error { return s.Scan(&n) }, selectContent, scope, hash[:])
	if errors.Is(err, ssmrun.ErrNotFound) {
		return t.insert(insertContent, scope, hash[:], content)
	}
	return n, err
}

// tokenKey is short and as good as unique: NULL where there is no token.
func tokenKey(scope ssmrun.Scope, caller, token string) any {
	if token == "" {
		return nil
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%d %s%s", scope.Account, scope.Region, len(caller), caller, token))
	return sum[:16]
}

func (t *tx) CommandByToken(scope ssmrun.Scope, caller, token string) (*ssmrun.Command, error) {
	key := tokenKey(scope, caller, token)
	if key == nil {
		return nil, what(ssmrun.ErrNotFound, "find command by token")
	}
	c, err := t.command(scope, selectByToken, key)
	if err == nil {
		err = t.ReadInput(c)
	}
	if err != nil {
		return nil, what(err, "find command by token")
	}
	return c, nil
}

func (t *tx) Command(scope ssmrun.Scope, id string) (*ssmrun.Command, error) {
	n, err := t.scope(scope)
	if err != nil {
		return nil, what(err, "find command %s", id)
	}
	c, err := t.command(scope, selectCommand, n, id)
	return c, what(err, "find command %s", id)
}

func (t *tx) command(scope ssmrun.Scope, text string, args ...any) (*ssmrun.Command, error) {
	c := &ssmrun.Command{Scope: scope}
	if err := t.one(func(s scanner) error { return t.scanCommand(s, c) }, text, args...); err != nil {
		return nil, err
	}
	return c, nil
}

// scanCommand reads commandColumns and what more there is.
func (t *tx) scanCommand(s scanner, c *ssmrun.Command, more ...any) error {
	var n int64
	err := s.Scan(append([]any{
		&n, &c.ID, newest(&c.RequestedAt), &c.State.Status, &c.State.Details, &c.Document, &c.Revision,
		fromJSON{&c.Counts},
		&c.Turn,
		fromJSON{&c.Steps},
		&c.Caller, &c.Comment, &c.Version, at(&c.ExpiresAfter),
		&c.TimeoutSeconds, &c.MaxConcurrency, &c.MaxErrors, &c.Output.Region, &c.Output.Bucket, &c.Output.Prefix,
		&c.ServiceRole,
	}, more...)...)
	t.meet(c.Scope, c.ID, n)
	return err
}

func (t *tx) ReadInput(c *ssmrun.Command) error {
	n, err := t.number(c.Scope, c.ID)
	if err == nil {
		err = t.one(func(s scanner) error {
			return s.Scan(fromJSON{&c.Parameters}, fromJSON{&c.InstanceIDs}, fromJSON{&c.Targets}, &c.Content)
		}, selectInput, n)
	}
	return what(err, "read input of command %s", c.ID)
}

// UpdateCommand counts the revision in the database, so that it grows by one
// even where c is older than what is stored. When the Update is undone, c is
// ahead of the store: read it again.
func (t *tx) UpdateCommand(c *ssmrun.Command) error {
	counts, err := asJSON(c.Counts)
	if err != nil {
		return what(t.refuse(err), "update command %s", c.ID)
	}
	n, err := t.number(c.Scope, c.ID)
	if err == nil {
		err = t.changeOne(func(s scanner) error { return s.Scan(&c.Revision) }, updateCommandRow,
			c.State.Status, c.State.Details, !c.State.Terminal(), counts, c.Turn, n)
	}
	return what(err, "update command %s", c.ID)
}
