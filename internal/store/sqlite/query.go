package sqlite

import (
	"strings"

	"ssmrun/internal/store"
)

// where puts the conditions of a query together. Values are always arguments,
// and lists are one argument of JSON, so that the number of different texts,
// each of which is compiled and kept, stays small.
type where struct {
	conditions []string
	args       []any
}

func (w *where) add(condition string, args ...any) {
	w.conditions = append(w.conditions, condition)
	w.args = append(w.args, args...)
}

func (w *where) text() string { return "WHERE " + strings.Join(w.conditions, " AND ") }

// in selects rows whose column has one of the values; no values select all.
func (w *where) in(column string, values []string) {
	if len(values) > 0 {
		w.add(column+" IN (SELECT value FROM json_each(?))", list(values))
	}
}

// prefix selects rows whose column begins with one of the values; no values
// select all.
func (w *where) prefix(column string, values []string) {
	if len(values) > 0 {
		w.add("EXISTS (SELECT 1 FROM json_each(?) WHERE substr("+column+", 1, length(value)) = value)", list(values))
	}
}

// states selects by the status members of q; alias is the table's.
func (w *where) states(alias string, q store.CommandQuery) {
	if len(q.Statuses) > 0 {
		w.add("("+alias+".status IN (SELECT value FROM json_each(?)) OR "+
			alias+".details IN (SELECT value FROM json_each(?)))", list(q.Statuses), list(q.Statuses))
	}
	switch {
	case q.Executing && !q.Complete:
		w.add(alias + ".open = 1") // a literal, so that partial indexes serve it
	case q.Complete && !q.Executing:
		w.add(alias + ".open = 0")
	}
}

// times selects by q's time members: InvokedAfter belongs to the result,
// InvokedBefore does not.
func (w *where) times(alias string, q store.CommandQuery, paged bool) {
	if !q.InvokedAfter.IsZero() {
		w.add(alias+".newest_first <= ?", newestFirst(q.InvokedAfter))
	}
	if !q.InvokedBefore.IsZero() {
		w.add(start(alias, paged)+" > ?", newestFirst(q.InvokedBefore))
	}
}

// span selects rows between two sort keys.
func (w *where) span(alias string, low, high int64, paged bool) {
	w.add(start(alias, paged)+" >= ? AND "+alias+".newest_first <= ?", low, high)
}

// start is the sort key where a walk along an index begins. On a page that is
// not the first it begins at the token instead, and + tells SQLite so: of two
// lower bounds it uses one to find the place and the other to filter.
func start(alias string, paged bool) string {
	if paged {
		return "+" + alias + ".newest_first"
	}
	return alias + ".newest_first"
}

// list is a JSON array of strings.
func list(values []string) string {
	s, err := asJSON(values)
	if err != nil {
		return "[]" // strings always can be
	}
	return s
}
