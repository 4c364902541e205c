package sqlite

import (
	"time"

	"ssmrun"
	"ssmrun/internal/store"
)

const (
	invocationColumns = `i.account, i.region, i.command_id, i.instance_id, i.newest_first, i.status, i.details,
		i.instance_name, i.handed, i.begun, i.cancel_requested, i.deliver_by, i.finish_by, i.next, i.trace`
	selectInvocations = `SELECT ` + invocationColumns + ` FROM invocations i `

	insertInvocationRow = `INSERT INTO invocations (account, region, command_id, instance_id, newest_first, open, status,
		details, instance_name, handed, begun, cancel_requested, deliver_by, finish_by, next, trace)
		VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)`
	updateInvocationRow = `UPDATE invocations SET open = ?, status = ?, details = ?, instance_name = ?, handed = ?,
		begun = ?, cancel_requested = ?, deliver_by = ?, finish_by = ?, next = ?, trace = ?
		WHERE account = ? AND region = ? AND command_id = ? AND instance_id = ?`
	selectInvocation = selectInvocations + `WHERE i.account = ? AND i.region = ? AND i.command_id = ? AND i.instance_id = ?`
	selectOfCommand  = selectInvocations + `WHERE i.account = ? AND i.region = ? AND i.command_id = ? ORDER BY i.instance_id`
	selectOpen       = selectInvocations + `WHERE i.account = ? AND i.region = ? AND i.instance_id = ? AND i.open = 1
		ORDER BY i.newest_first DESC, i.command_id`
	selectDue = selectInvocations + `WHERE i.next <= ? ORDER BY i.next LIMIT ?`
	// With ORDER BY and not min(): the first entry of the index.
	selectNextDue = `SELECT i.next FROM invocations i WHERE i.next IS NOT NULL ORDER BY i.next LIMIT 1`
	selectSpan    = `SELECT span_low, span_high FROM commands
		WHERE account = ? AND region = ? AND id = ? AND span_low IS NOT NULL`
)

func (t *tx) insertInvocation(i *ssmrun.Invocation) error {
	_, err := t.exec(insertInvocationRow, i.Scope.Account, i.Scope.Region, i.CommandID, i.InstanceID,
		newestFirst(i.RequestedAt), !i.State.Terminal(), i.State.Status, i.State.Details, i.InstanceName,
		micros(i.Handed), micros(i.Begun), micros(i.CancelRequested), micros(i.DeliverBy), micros(i.FinishBy),
		micros(i.Next), i.Trace)
	return what(err, "invocation on %s", i.InstanceID)
}

func scanInvocation(s scanner, i *ssmrun.Invocation) error {
	return s.Scan(&i.Scope.Account, &i.Scope.Region, &i.CommandID, &i.InstanceID, newest(&i.RequestedAt),
		&i.State.Status, &i.State.Details, &i.InstanceName, at(&i.Handed), at(&i.Begun), at(&i.CancelRequested),
		at(&i.DeliverBy), at(&i.FinishBy), at(&i.Next), &i.Trace)
}

func (t *tx) Invocation(scope ssmrun.Scope, commandID, instanceID string) (*ssmrun.Invocation, error) {
	var i ssmrun.Invocation
	err := t.one(func(s scanner) error { return scanInvocation(s, &i) },
		selectInvocation, scope.Account, scope.Region, commandID, instanceID)
	if err != nil {
		return nil, what(err, "find invocation of %s on %s", commandID, instanceID)
	}
	return &i, nil
}

func (t *tx) UpdateInvocation(i *ssmrun.Invocation) error {
	err := t.execOne(updateInvocationRow, !i.State.Terminal(), i.State.Status, i.State.Details, i.InstanceName,
		micros(i.Handed), micros(i.Begun), micros(i.CancelRequested), micros(i.DeliverBy), micros(i.FinishBy),
		micros(i.Next), i.Trace, i.Scope.Account, i.Scope.Region, i.CommandID, i.InstanceID)
	return what(err, "update invocation of %s on %s", i.CommandID, i.InstanceID)
}

func (t *tx) invocations(text string, args ...any) ([]ssmrun.Invocation, error) {
	var list []ssmrun.Invocation
	err := t.each(func(s scanner) error {
		var i ssmrun.Invocation
		err := scanInvocation(s, &i)
		list = append(list, i)
		return err
	}, text, args...)
	return list, err
}

func (t *tx) InvocationsOf(scope ssmrun.Scope, commandID string) ([]ssmrun.Invocation, error) {
	list, err := t.invocations(selectOfCommand, scope.Account, scope.Region, commandID)
	return list, what(err, "find invocations of %s", commandID)
}

func (t *tx) OpenInvocations(scope ssmrun.Scope, instanceID string) ([]ssmrun.Invocation, error) {
	list, err := t.invocations(selectOpen, scope.Account, scope.Region, instanceID)
	return list, what(err, "find open invocations on %s", instanceID)
}

func (t *tx) DueInvocations(now time.Time, limit int) ([]ssmrun.Invocation, error) {
	list, err := t.invocations(selectDue, now.UnixMicro(), max(limit, 0))
	return list, what(err, "find due invocations")
}

func (t *tx) NextDue() (time.Time, bool, error) {
	var next time.Time
	err := t.each(func(s scanner) error { return s.Scan(at(&next)) }, selectNextDue)
	return next, !next.IsZero(), what(err, "find the next due invocation")
}

func (t *tx) ListInvocations(scope ssmrun.Scope, q store.CommandQuery, p store.Page) ([]ssmrun.Invocation, string, error) {
	list, next, err := t.listInvocations(scope, q, p)
	return list, next, what(err, "list invocations")
}

func (t *tx) listInvocations(scope ssmrun.Scope, q store.CommandQuery, p store.Page) ([]ssmrun.Invocation, string, error) {
	after, err := from(p, invocationList)
	if err != nil {
		return nil, "", err
	}
	index := ""
	w := where{}
	w.add("i.account = ? AND i.region = ?", scope.Account, scope.Region)
	switch {
	case q.CommandID != "" && q.InstanceID != "":
		w.add("i.command_id = ? AND i.instance_id = ?", q.CommandID, q.InstanceID)
	case q.InstanceID != "":
		w.add("i.instance_id = ?", q.InstanceID)
	case q.CommandID != "":
		// The invocations of a command lie together in the order by time, so
		// that a page of 50,000 is found without sorting them all each time: the
		// + keeps SQLite from taking command_id out of the order by time.
		var low, high int64
		found := false
		if err := t.each(func(s scanner) error { found = true; return s.Scan(&low, &high) },
			selectSpan, scope.Account, scope.Region, q.CommandID); err != nil || !found {
			return nil, "", err
		}
		index = "INDEXED BY invocations_by_time "
		w.add("+i.command_id = ?", q.CommandID)
		w.span("i", low, high, after != nil)
	}
	if q.Document != "" {
		w.add(`EXISTS (SELECT 1 FROM commands c WHERE c.account = i.account AND c.region = i.region
			AND c.id = i.command_id AND c.document = ?)`, q.Document)
	}
	w.states("i", q)
	w.times("i", q, after != nil)
	if after != nil {
		w.add("(i.newest_first, i.command_id, i.instance_id) > (?, ?, ?)", after.Newest, after.ID, after.Instance)
	}
	list, err := t.invocations(selectInvocations+index+w.text()+
		" ORDER BY i.newest_first, i.command_id, i.instance_id LIMIT ?", append(w.args, p.Limit+1)...)
	if err != nil || len(list) <= p.Limit {
		return list, "", err
	}
	list = list[:p.Limit]
	last := &list[p.Limit-1]
	return list, position{
		List: invocationList, Newest: newestFirst(last.RequestedAt),
		ID: last.CommandID, Instance: last.InstanceID,
	}.token(), nil
}
