package bench

import (
	"bytes"
	"fmt"
	"slices"
	"text/tabwriter"
	"time"
)

// table collects the rows.
type table struct {
	buf bytes.Buffer
	w   *tabwriter.Writer
}

func newTable() *table {
	t := &table{}
	t.w = tabwriter.NewWriter(&t.buf, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t.w, "what\tmedian\tp90\tmost\tn\tgoal")
	return t
}

func (t *table) times(what string, d []time.Duration, goal string) {
	slices.Sort(d)
	fmt.Fprintf(t.w, "%s\t%s\t%s\t%s\t%d\t%s\n", what, ms(d[len(d)/2]), ms(d[len(d)*9/10]), ms(d[len(d)-1]), len(d), goal)
}

func (t *table) value(what, value, goal string) {
	fmt.Fprintf(t.w, "%s\t%s\t\t\t\t%s\n", what, value, goal)
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }

func mb(n int) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }
