package strict

import (
	"fmt"
	"slices"
	"strings"
)

// Neighbours names, for an error message, what may have been meant by a name that
// does not exist: the closest ones, or all of them where none is close.
func Neighbours(name string, known []string) string {
	if len(known) == 0 {
		return "there are none"
	}
	known = slices.Compact(slices.Sorted(slices.Values(known)))
	best, close := 3, []string(nil)
	for _, k := range known {
		d := distance(strings.ToLower(name), strings.ToLower(k))
		if d > best || d >= max(len(k), len(name)) {
			continue
		}
		if d < best {
			best, close = d, nil
		}
		close = append(close, k)
	}
	if len(close) > 0 {
		return fmt.Sprintf("did you mean %s?", strings.Join(close[:min(len(close), 3)], " or "))
	}
	const most = 12
	if len(known) > most {
		return fmt.Sprintf("known are %s and %d more", strings.Join(known[:most], ", "), len(known)-most)
	}
	return "known are " + strings.Join(known, ", ")
}

// distance is the number of letters to insert, drop or change to make b of a.
// Names longer than any in C code count as far apart.
func distance(a, b string) int {
	const longest = 128
	if len(a) > longest || len(b) > longest {
		return longest
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			d := diagonal
			if a[i] != b[j] {
				d++
			}
			diagonal = row[j+1]
			row[j+1] = min(d, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
