package control

import (
	"strconv"
	"strings"
)

// amount reads MaxConcurrency or MaxErrors, a number or a percentage of all
// targets, as an absolute number of at least floor. A percentage is rounded
// down, as AWS documents it (10% of 50 errors stops at the 6th).
func amount(s string, targets, floor int) int {
	var n int
	if p, ok := strings.CutSuffix(s, "%"); ok {
		percent, _ := strconv.Atoi(p) // the api has checked the form
		n = targets * percent / 100
	} else {
		n, _ = strconv.Atoi(s)
	}
	return max(n, floor)
}
