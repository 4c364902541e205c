package sqlite

import (
	"slices"

	"ssmrun"
	"ssmrun/internal/store"
)

// coarse are the values of a Status filter that are statuses; any other is one
// of the details. (Details of the same name imply the status.)
var coarse = []string{"Pending", "InProgress", "Success", "Cancelled", "Failed", "TimedOut", "Cancelling"}

// statusColumn says which column holds a value of a Status filter.
func statusColumn(value string) string {
	if slices.Contains(coarse, value) {
		return "status"
	}
	return "details"
}

// row is what a page is put together from: its place, in the order of the list.
type row interface {
	place() position
}

type commandRow struct {
	ssmrun.Command
	n int64
}

func (r commandRow) place() position {
	return position{List: commandList, Newest: newestFirst(r.RequestedAt), N: r.n}
}

type invocationRow struct {
	ssmrun.Invocation
	n int64
}

func (r invocationRow) place() position {
	return position{List: invocationList, Newest: newestFirst(r.RequestedAt), N: r.n, Instance: r.InstanceID}
}

// page makes a page of the rows that follow a place, of which there may be more
// than asked for: the answer, and the token for what follows.
func page[R row](rows []R, limit int) ([]R, string) {
	if len(rows) <= limit {
		return rows, ""
	}
	return rows[:limit], rows[limit-1].place().token()
}

// merge puts lists together that are in order, without what comes twice.
func merge[R row](lists [][]R) []R {
	all := slices.Concat(lists...)
	slices.SortStableFunc(all, func(a, b R) int { return a.place().compare(b.place()) })
	return slices.CompactFunc(all, func(a, b R) bool { return a.place() == b.place() })
}

// each status has an index in the order of lists, and several have none: one
// walk for each, then.
func statuses(q store.CommandQuery) []store.CommandQuery {
	if len(q.Statuses) < 2 {
		return []store.CommandQuery{q}
	}
	out := make([]store.CommandQuery, len(q.Statuses))
	for i, s := range q.Statuses {
		out[i] = q
		out[i].Statuses = []string{s}
	}
	return out
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
	n, err := t.scope(scope)
	if none, err := absent(err); none || err != nil {
		return nil, "", err
	}
	var lists [][]commandRow
	for _, q := range statuses(q) {
		rows, err := t.walkCommands(scope, n, q, after, p.Limit+1)
		if err != nil {
			return nil, "", err
		}
		lists = append(lists, rows)
	}
	rows, next := page(merge(lists), p.Limit)
	list := make([]ssmrun.Command, len(rows))
	for i := range rows {
		list[i] = rows[i].Command
	}
	return list, next, nil
}

// walkCommands walks the index that fits the query best.
func (t *tx) walkCommands(scope ssmrun.Scope, n int64, q store.CommandQuery, after *position, limit int) ([]commandRow, error) {
	w := where{}
	tables := "commands c INDEXED BY commands_by_time"
	order := "c.newest_first, c.n"
	switch {
	case q.InstanceID != "":
		tables = "invocations i INDEXED BY invocations_by_instance CROSS JOIN commands c ON c.n = i.command"
		order = "i.newest_first, i.command"
		w.add("i.instance_id = ?", q.InstanceID)
		w.between("i", "command", q, after)
	default:
		w.between("c", "n", q, after)
	}
	w.add("c.scope = ?", n)
	if q.CommandID != "" {
		w.add("c.id = ?", q.CommandID)
		if q.InstanceID == "" {
			tables = "commands c INDEXED BY commands_by_id"
		}
	}
	indexed := q.CommandID == "" && q.InstanceID == ""
	if q.Executing != q.Complete {
		w.add(openIs("c", q.Executing))
		if indexed && q.Executing {
			tables = "commands c INDEXED BY commands_open"
		}
	}
	if q.Document != "" {
		w.add("c.document = ?", q.Document)
		if indexed {
			tables = "commands c INDEXED BY commands_by_document"
		}
	}
	for _, s := range q.Statuses {
		w.add("c."+statusColumn(s)+" = ?", s)
		if indexed {
			tables = "commands c INDEXED BY commands_by_" + statusColumn(s)
		}
	}
	var list []commandRow
	err := t.each(func(s scanner) error {
		r := commandRow{Command: ssmrun.Command{Scope: scope}}
		err := t.scanCommand(s, &r.Command, &r.n, fromJSON{&r.Parameters}, fromJSON{&r.InstanceIDs}, fromJSON{&r.Targets})
		list = append(list, r)
		return err
	}, "SELECT "+commandColumns+", c.n, n.parameters, n.instance_ids, n.targets FROM "+tables+
		" CROSS JOIN commands_input n ON n.n = c.n "+w.text()+" ORDER BY "+order+" LIMIT ?", append(w.args, limit)...)
	return list, err
}

func openIs(alias string, executing bool) string {
	if executing {
		return alias + ".open = 1" // a literal, so that partial indexes serve it
	}
	return alias + ".open = 0"
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
	n, err := t.scope(scope)
	if none, err := absent(err); none || err != nil {
		return nil, "", err
	}
	var lists [][]invocationRow
	for _, q := range statuses(q) {
		rows, err := t.walkInvocations(scope, n, q, after, p.Limit+1)
		if err != nil {
			return nil, "", err
		}
		lists = append(lists, rows)
	}
	rows, next := page(merge(lists), p.Limit)
	list := make([]ssmrun.Invocation, len(rows))
	for i := range rows {
		list[i] = rows[i].Invocation
	}
	return list, next, nil
}

func (t *tx) walkInvocations(scope ssmrun.Scope, n int64, q store.CommandQuery, after *position, limit int) ([]invocationRow, error) {
	if q.CommandID != "" {
		command, err := t.number(scope, q.CommandID)
		if none, err := absent(err); none || err != nil {
			return nil, err
		}
		return t.invocationsOf(scope, command, q, after, limit)
	}
	if q.InstanceID != "" {
		return t.invocationsOn(scope, n, q, after, limit)
	}
	// The rest of the command in whose middle the page before has ended, then
	// the commands after it.
	var list []invocationRow
	if after != nil {
		var err error
		if list, err = t.invocationsOf(scope, after.N, q, after, limit); err != nil || len(list) >= limit {
			return list, err
		}
	}
	rest, err := t.invocationsBy(scope, n, q, after, limit-len(list))
	return append(list, rest...), err
}

// invocationsOf walks those of one command, those whose turn came last first.
func (t *tx) invocationsOf(scope ssmrun.Scope, command int64, q store.CommandQuery, after *position, limit int) ([]invocationRow, error) {
	w := where{}
	w.add("i.command = ?", command)
	if q.InstanceID != "" {
		w.add("i.instance_id = ?", q.InstanceID)
	}
	if after != nil {
		w.add("i.instance_id < ?", after.Instance)
	}
	w.between("i", "", q, nil)
	return t.invocationRows(scope, "invocations i CROSS JOIN commands c ON c.n = i.command", w, q, "i.instance_id DESC", limit)
}

// invocationsOn walks those on one instance, newest first.
func (t *tx) invocationsOn(scope ssmrun.Scope, n int64, q store.CommandQuery, after *position, limit int) ([]invocationRow, error) {
	w := where{}
	w.add("i.instance_id = ?", q.InstanceID)
	w.between("i", "command", q, after)
	w.add("c.scope = ?", n)
	return t.invocationRows(scope, "invocations i INDEXED BY invocations_by_instance CROSS JOIN commands c ON c.n = i.command",
		w, q, "i.newest_first, i.command", limit)
}

// invocationsBy walks commands, newest first, and the invocations of each.
func (t *tx) invocationsBy(scope ssmrun.Scope, n int64, q store.CommandQuery, after *position, limit int) ([]invocationRow, error) {
	tables := "commands c INDEXED BY commands_by_time CROSS JOIN invocations i ON i.command = c.n"
	w := where{}
	switch {
	case len(q.Statuses) == 1 && q.Statuses[0] != "Success" && statusColumn(q.Statuses[0]) == "status" && !unfinished(q.Statuses[0]):
		// Those that did not succeed have an index of their own.
		w.add("i.open = 0 AND i.status <> 'Success' AND i.status = ?", q.Statuses[0])
		w.between("i", "command", q, after)
		w.add("c.scope = ?", n)
		return t.invocationRows(scope, "invocations i INDEXED BY invocations_failed CROSS JOIN commands c ON c.n = i.command",
			w, q, "i.newest_first, i.command, i.instance_id DESC", limit)
	case q.Executing && !q.Complete, len(q.Statuses) == 1 && unfinished(q.Statuses[0]):
		tables = "commands c INDEXED BY commands_open CROSS JOIN invocations i ON i.command = c.n"
		w.add("c.open = 1")
	}
	w.add("c.scope = ?", n)
	w.between("c", "n", q, after)
	return t.invocationRows(scope, tables, w, q, "c.newest_first, c.n, i.instance_id DESC", limit)
}

// unfinished: an invocation with this status is one of a command that is open.
func unfinished(status string) bool {
	return status == "Pending" || status == "InProgress" || status == "Delayed"
}

func (t *tx) invocationRows(scope ssmrun.Scope, tables string, w where, q store.CommandQuery, order string, limit int) ([]invocationRow, error) {
	if q.Document != "" {
		w.add("c.document = ?", q.Document)
	}
	for _, s := range q.Statuses {
		w.add("i."+statusColumn(s)+" = ?", s)
	}
	if q.Executing != q.Complete {
		w.add(openIs("i", q.Executing))
	}
	var list []invocationRow
	err := t.each(func(s scanner) error {
		r := invocationRow{Invocation: ssmrun.Invocation{Scope: scope}}
		err := scanInvocation(s, &r.Invocation, &r.n, &r.CommandID)
		t.meet(scope, r.CommandID, r.n)
		list = append(list, r)
		return err
	}, "SELECT "+invocationColumns+", i.command, c.id FROM "+tables+" "+w.text()+" ORDER BY "+order+" LIMIT ?", append(w.args, limit)...)
	return list, err
}
