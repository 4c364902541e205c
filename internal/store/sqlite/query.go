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

// between selects the rows of a list's time members, and those after a place;
// column is that of the command's number, which orders those of one time.
// InvokedAfter belongs to the result, InvokedBefore does not. Of two lower
// bounds SQLite uses one to find where to begin, and the + tells it which.
func (w *where) between(alias, column string, q store.CommandQuery, after *position) {
	key := alias + ".newest_first"
	if !q.InvokedAfter.IsZero() {
		w.add(key+" <= ?", newestFirst(q.InvokedAfter))
	}
	if after != nil {
		w.add("("+key+", "+alias+"."+column+") > (?, ?)", after.Newest, after.N)
		key = "+" + key
	}
	if !q.InvokedBefore.IsZero() {
		w.add(key+" > ?", newestFirst(q.InvokedBefore))
	}
}

// list is a JSON array of strings.
func list(values []string) string {
	s, err := asJSON(values)
	if err != nil {
		return "[]" // strings always can be
	}
	return s
}
