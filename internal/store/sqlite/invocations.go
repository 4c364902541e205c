package sqlite

import (
	"time"

	"ssmrun"
)

const (
	invocationColumns = `i.instance_id, i.newest_first, i.status, i.details, i.instance_name, i.handed, i.begun,
		i.cancel_requested, i.deliver_by, i.finish_by, i.next, i.trace`

	insertInvocationRow = `INSERT INTO invocations (command, instance_id, newest_first, open, status, details,
		instance_name, handed, begun, cancel_requested, deliver_by, finish_by, next, trace)
		VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)`
	updateInvocationRow = `UPDATE invocations SET open = ?, status = ?, details = ?, instance_name = ?, handed = ?,
		begun = ?, cancel_requested = ?, deliver_by = ?, finish_by = ?, next = ?, trace = ?
		WHERE command = ? AND instance_id = ?`
	selectInvocation = `SELECT ` + invocationColumns + ` FROM invocations i WHERE i.command = ? AND i.instance_id = ?`
	selectAfter      = `SELECT ` + invocationColumns + ` FROM invocations i
		WHERE i.command = ? AND i.instance_id > ? ORDER BY i.instance_id LIMIT ?`
	// CROSS JOIN keeps SQLite from walking the commands first.
	selectOpen = `SELECT ` + invocationColumns + `, c.id FROM invocations i INDEXED BY invocations_open
		CROSS JOIN commands c ON c.n = i.command
		WHERE i.instance_id = ? AND i.open = 1 AND c.scope = ? ORDER BY i.newest_first DESC, i.command`
	countOpen = `SELECT count(*) FROM commands c INDEXED BY commands_open CROSS JOIN invocations i ON i.command = c.n
		WHERE c.scope = ? AND c.open = 1 AND i.open = 1`
	selectDue = `SELECT ` + invocationColumns + `, c.id, s.account, s.region FROM invocations i INDEXED BY invocations_due
		CROSS JOIN commands c ON c.n = i.command CROSS JOIN scopes s ON s.n = c.scope
		WHERE i.next <= ? ORDER BY i.next LIMIT ?`
	// With ORDER BY and not min(): the first entry of the index.
	selectNextDue = `SELECT i.next FROM invocations i WHERE i.next IS NOT NULL ORDER BY i.next LIMIT 1`
)

func (t *tx) insertInvocation(command int64, i *ssmrun.Invocation) error {
	_, err := t.exec(insertInvocationRow, command, i.InstanceID,
		newestFirst(i.RequestedAt), !i.State.Terminal(), i.State.Status, i.State.Details, i.InstanceName,
		micros(i.Handed), micros(i.Begun), micros(i.CancelRequested), micros(i.DeliverBy), micros(i.FinishBy),
		micros(i.Next), i.Trace)
	return what(err, "invocation on %s", i.InstanceID)
}

// scanInvocation reads invocationColumns and what more there is.
func scanInvocation(s scanner, i *ssmrun.Invocation, more ...any) error {
	return s.Scan(append([]any{
		&i.InstanceID, newest(&i.RequestedAt),
		&i.State.Status, &i.State.Details, &i.InstanceName, at(&i.Handed), at(&i.Begun), at(&i.CancelRequested),
		at(&i.DeliverBy), at(&i.FinishBy), at(&i.Next), &i.Trace,
	}, more...)...)
}

func (t *tx) Invocation(scope ssmrun.Scope, commandID, instanceID string) (*ssmrun.Invocation, error) {
	i := &ssmrun.Invocation{CommandID: commandID, Scope: scope}
	n, err := t.number(scope, commandID)
	if err == nil {
		err = t.one(func(s scanner) error { return scanInvocation(s, i) }, selectInvocation, n, instanceID)
	}
	if err != nil {
		return nil, what(err, "find invocation of %s on %s", commandID, instanceID)
	}
	return i, nil
}

func (t *tx) UpdateInvocation(i *ssmrun.Invocation) error {
	n, err := t.number(i.Scope, i.CommandID)
	if err == nil {
		err = t.execOne(updateInvocationRow, !i.State.Terminal(), i.State.Status, i.State.Details, i.InstanceName,
			micros(i.Handed), micros(i.Begun), micros(i.CancelRequested), micros(i.DeliverBy), micros(i.FinishBy),
			micros(i.Next), i.Trace, n, i.InstanceID)
	}
	if err == nil {
		t.meetInvocation(n, i.InstanceID)
	}
	return what(err, "update invocation of %s on %s", i.CommandID, i.InstanceID)
}

func (t *tx) InvocationsAfter(scope ssmrun.Scope, commandID, instanceID string, limit int) ([]ssmrun.Invocation, error) {
	n, err := t.number(scope, commandID)
	if none, err := absent(err); none || err != nil {
		return nil, what(err, "find invocations of %s", commandID)
	}
	var list []ssmrun.Invocation
	err = t.each(func(s scanner) error {
		i := ssmrun.Invocation{CommandID: commandID, Scope: scope}
		err := scanInvocation(s, &i)
		list = append(list, i)
		return err
	}, selectAfter, n, instanceID, max(limit, 0))
	return list, what(err, "find invocations of %s", commandID)
}

func (t *tx) OpenInvocations(scope ssmrun.Scope, instanceID string) ([]ssmrun.Invocation, error) {
	n, err := t.scope(scope)
	if none, err := absent(err); none || err != nil {
		return nil, what(err, "find open invocations on %s", instanceID)
	}
	var list []ssmrun.Invocation
	err = t.each(func(s scanner) error {
		i := ssmrun.Invocation{Scope: scope}
		err := scanInvocation(s, &i, &i.CommandID)
		list = append(list, i)
		return err
	}, selectOpen, instanceID, n)
	return list, what(err, "find open invocations on %s", instanceID)
}

func (t *tx) CountOpenInvocations(scope ssmrun.Scope) (int, error) {
	n, err := t.scope(scope)
	if none, err := absent(err); none || err != nil {
		return 0, what(err, "count open invocations")
	}
	var count int
	err = t.one(func(s scanner) error { return s.Scan(&count) }, countOpen, n)
	return count, what(err, "count open invocations")
}

func (t *tx) DueInvocations(now time.Time, limit int) ([]ssmrun.Invocation, error) {
	var list []ssmrun.Invocation
	err := t.each(func(s scanner) error {
		var i ssmrun.Invocation
		err := scanInvocation(s, &i, &i.CommandID, &i.Scope.Account, &i.Scope.Region)
		list = append(list, i)
		return err
	}, selectDue, now.UnixMicro(), max(limit, 0))
	return list, what(err, "find due invocations")
}

func (t *tx) NextDue() (time.Time, bool, error) {
	var next time.Time
	found := false
	err := t.each(func(s scanner) error { found = true; return s.Scan(at(&next)) }, selectNextDue)
	return next, found, what(err, "find the next due invocation")
}
