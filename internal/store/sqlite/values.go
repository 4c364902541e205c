package sqlite

import (
	"encoding/json"
	"fmt"
	"time"
)

// micros stores a time with microseconds, as PostgreSQL would: NULL for the
// zero time.
func micros(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

// instant reads what micros stored, as UTC.
type instant time.Time

func at(t *time.Time) *instant { return (*instant)(t) }

func (i *instant) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		*i = instant{}
	case int64:
		*i = instant(time.UnixMicro(v).UTC())
	default:
		return fmt.Errorf("a time is stored as %T", v)
	}
	return nil
}

// newestFirst is the sort key of a time: its microseconds negated.
func newestFirst(t time.Time) int64 { return -t.UnixMicro() }

// negated reads what newestFirst made.
type negated time.Time

func newest(t *time.Time) *negated { return (*negated)(t) }

func (n *negated) Scan(v any) error {
	i, ok := v.(int64)
	if !ok {
		return fmt.Errorf("a time is stored as %T", v)
	}
	*n = negated(time.UnixMicro(-i).UTC())
	return nil
}

// asJSON stores a list, a map or a struct of plain values.
func asJSON(v any) (string, error) {
	b, err := json.Marshal(v)
	return string(b), err
}

// fromJSON reads what asJSON stored.
type fromJSON struct{ into any }

func (f fromJSON) Scan(v any) error {
	s, ok := v.(string)
	if !ok {
		return fmt.Errorf("JSON is stored as %T", v)
	}
	return json.Unmarshal([]byte(s), f.into)
}
