package document

import "strings"

// closest gives the name that was most likely meant: one that differs in its
// case, or in at most two letters; "" where none does.
func closest(name string, names []string) string {
	const near = 2
	if len(name) > 64 {
		return ""
	}
	best, bestDistance := "", near+1
	for _, candidate := range names {
		if strings.EqualFold(name, candidate) {
			return candidate
		}
		if d := distance(name, candidate); d < bestDistance && d < len(candidate)/2+1 {
			best, bestDistance = candidate, d
		}
	}
	return best
}

// distance counts the letters to put in, take out or change to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost++
			}
			diagonal = row[j]
			row[j] = min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
