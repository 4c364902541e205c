package sqlite

import (
	"crypto/sha256"
	"fmt"

	"ssmrun"
	"ssmrun/internal/store"
)

const (
	commandColumns = `c.account, c.region, c.id, c.newest_first, c.status, c.details, c.document, c.revision, c.counts,
		c.caller, c.comment, c.version, c.expires_after, c.timeout_seconds, c.max_concurrency, c.max_errors,
		c.output_region, c.output_bucket, c.output_prefix, c.service_role, n.parameters, n.instance_ids, n.targets`
	// CROSS JOIN keeps SQLite from walking the inputs first.
	commandTables = ` FROM commands c CROSS JOIN commands_input n
		ON n.account = c.account AND n.region = c.region AND n.id = c.id `
	commandWhole = `SELECT ` + commandColumns + `, d.content` + commandTables + `
		JOIN documents_content d ON d.account = n.account AND d.region = n.region AND d.hash = n.content_hash `

	insertContent = `INSERT INTO documents_content (account, region, hash, content) VALUES (?,?,?,?) ON CONFLICT DO NOTHING`
	insertCommand = `INSERT INTO commands (account, region, id, newest_first, open, status, details, document,
		revision, counts, caller, token, comment, version, expires_after, timeout_seconds, max_concurrency, max_errors,
		output_region, output_bucket, output_prefix, service_role, span_low, span_high)
		VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)`
	insertInput = `INSERT INTO commands_input (account, region, id, content_hash, parameters, instance_ids, targets)
		VALUES (?,?,?,?,?,?,?)`
	selectCommand    = commandWhole + `WHERE c.account = ? AND c.region = ? AND c.id = ?`
	selectByToken    = commandWhole + `WHERE c.account = ? AND c.region = ? AND c.caller = ? AND c.token = ? AND c.token <> ''`
	updateCommandRow = `UPDATE commands SET status = ?, details = ?, open = ?, counts = ?, revision = revision + 1
		WHERE account = ? AND region = ? AND id = ? RETURNING revision`
)

func (t *tx) InsertCommand(c *ssmrun.Command, token string, invocations []ssmrun.Invocation, plugins []ssmrun.Plugin) error {
	return what(t.insertCommand(c, token, invocations, plugins), "insert command %s", c.ID)
}

func (t *tx) insertCommand(c *ssmrun.Command, token string, invocations []ssmrun.Invocation, plugins []ssmrun.Plugin) error {
	var low, high any
	for i := range invocations {
		v := &invocations[i]
		if v.CommandID != c.ID || v.Scope != c.Scope {
			return t.refuse(fmt.Errorf("its invocation on %s names command %s in another place", v.InstanceID, v.CommandID))
		}
		key := newestFirst(v.RequestedAt)
		if low == nil || key < low.(int64) {
			low = key
		}
		if high == nil || key > high.(int64) {
			high = key
		}
	}
	counts, err := asJSON(c.Counts)
	if err != nil {
		return t.refuse(err)
	}
	if _, err = t.exec(insertCommand, c.Scope.Account, c.Scope.Region, c.ID, newestFirst(c.RequestedAt), !c.State.Terminal(),
		c.State.Status, c.State.Details, c.Document, c.Revision, counts, c.Caller, token, c.Comment, c.Version,
		micros(c.ExpiresAfter), c.TimeoutSeconds, c.MaxConcurrency, c.MaxErrors,
		c.Output.Region, c.Output.Bucket, c.Output.Prefix, c.ServiceRole, low, high); err != nil {
		return err
	}
	if err := t.insertInput(c); err != nil {
		return err
	}
	for i := range invocations {
		if err := t.insertInvocation(&invocations[i]); err != nil {
			return err
		}
	}
	for i := range plugins {
		if plugins[i].CommandID != c.ID {
			return t.refuse(fmt.Errorf("its plugin %s names command %s", plugins[i].Name, plugins[i].CommandID))
		}
		if err := t.insertPlugin(c.Scope, &plugins[i]); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) insertInput(c *ssmrun.Command) error {
	var texts [3]string
	for i, v := range []any{c.Parameters, c.InstanceIDs, c.Targets} {
		var err error
		if texts[i], err = asJSON(v); err != nil {
			return t.refuse(err)
		}
	}
	hash, err := t.keepContent(c.Scope, c.Content)
	if err != nil {
		return err
	}
	_, err = t.exec(insertInput, c.Scope.Account, c.Scope.Region, c.ID, hash, texts[0], texts[1], texts[2])
	return err
}

// keepContent stores a content that is not there yet and gives its hash.
func (t *tx) keepContent(s ssmrun.Scope, content string) ([]byte, error) {
	hash := sha256.Sum256([]byte(content))
	_, err := t.exec(insertContent, s.Account, s.Region, hash[:], content)
	return hash[:], err
}

func (t *tx) CommandByToken(scope ssmrun.Scope, caller, token string) (*ssmrun.Command, error) {
	c, err := t.command(selectByToken, scope.Account, scope.Region, caller, token)
	return c, what(err, "find command by token")
}

func (t *tx) Command(scope ssmrun.Scope, id string) (*ssmrun.Command, error) {
	c, err := t.command(selectCommand, scope.Account, scope.Region, id)
	return c, what(err, "find command %s", id)
}

func (t *tx) command(text string, args ...any) (*ssmrun.Command, error) {
	var c ssmrun.Command
	err := t.one(func(s scanner) error { return scanCommand(s, &c, &c.Content) }, text, args...)
	if err != nil {
		return nil, err
	}
	return &c, nil
}

// scanCommand reads commandColumns and what more there is.
func scanCommand(s scanner, c *ssmrun.Command, more ...any) error {
	return s.Scan(append([]any{
		&c.Scope.Account, &c.Scope.Region, &c.ID, newest(&c.RequestedAt), &c.State.Status, &c.State.Details,
		&c.Document, &c.Revision,
		fromJSON{&c.Counts},
		&c.Caller, &c.Comment, &c.Version, at(&c.ExpiresAfter),
		&c.TimeoutSeconds, &c.MaxConcurrency, &c.MaxErrors, &c.Output.Region, &c.Output.Bucket, &c.Output.Prefix,
		&c.ServiceRole,
		fromJSON{&c.Parameters},
		fromJSON{&c.InstanceIDs},
		fromJSON{&c.Targets},
	}, more...)...)
}

// UpdateCommand counts the revision in the database, so that it grows by one
// even where c is older than what is stored. When the Update is undone, c is
// ahead of the store: read it again.
func (t *tx) UpdateCommand(c *ssmrun.Command) error {
	counts, err := asJSON(c.Counts)
	if err != nil {
		return what(t.refuse(err), "update command %s", c.ID)
	}
	err = t.changeOne(func(s scanner) error { return s.Scan(&c.Revision) }, updateCommandRow,
		c.State.Status, c.State.Details, !c.State.Terminal(), counts, c.Scope.Account, c.Scope.Region, c.ID)
	return what(err, "update command %s", c.ID)
}

func (t *tx) ListCommands(scope ssmrun.Scope, q store.CommandQuery, p store.Page) ([]ssmrun.Command, string, error) {
	list, next, err := t.listCommands(scope, q, p)
	return list, next, what(err, "list commands")
}

func (t *tx) listCommands(scope ssmrun.Scope, q store.CommandQuery, p store.Page) ([]ssmrun.Command, string, error) {
	after, err := from(p, commandList)
	if err != nil {
		return nil, "", err
	}
	w := where{}
	w.add("c.account = ? AND c.region = ?", scope.Account, scope.Region)
	if q.CommandID != "" {
		w.add("c.id = ?", q.CommandID)
	}
	if q.InstanceID != "" {
		w.add(`c.id IN (SELECT i.command_id FROM invocations i
			WHERE i.account = ? AND i.region = ? AND i.instance_id = ?)`, scope.Account, scope.Region, q.InstanceID)
	}
	if q.Document != "" {
		w.add("c.document = ?", q.Document)
	}
	w.states("c", q)
	w.times("c", q, after != nil)
	if after != nil {
		w.add("(c.newest_first, c.id) > (?, ?)", after.Newest, after.ID)
	}
	var list []ssmrun.Command
	err = t.each(func(s scanner) error {
		var c ssmrun.Command
		err := scanCommand(s, &c)
		list = append(list, c)
		return err
	}, "SELECT "+commandColumns+commandTables+w.text()+" ORDER BY c.newest_first, c.id LIMIT ?", append(w.args, p.Limit+1)...)
	if err != nil || len(list) <= p.Limit {
		return list, "", err
	}
	list = list[:p.Limit]
	last := &list[p.Limit-1]
	return list, position{List: commandList, Newest: newestFirst(last.RequestedAt), ID: last.ID}.token(), nil
}
