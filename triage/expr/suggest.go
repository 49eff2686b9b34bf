package expr

import (
	"fmt"
	"slices"
	"strings"
)

// otherNames are what other tools call a field.
func otherNames(name string) string {
	switch strings.ToLower(name) {
	case "dport", "dst_port", "destination":
		return "dest"
	case "sport", "src_port", "src":
		return "source"
	case "csum", "cksum":
		return "checksum"
	case "proto", "next_header":
		return "protocol"
	case "eth":
		return "ethernet"
	case "ip", "ip4", "iph":
		return "ipv4"
	case "ip6":
		return "ipv6"
	case "icmpv4", "icmp4":
		return "icmp"
	case "icmp6":
		return "icmpv6"
	}
	return ""
}

// suggest ends a message about an unknown name with those it may stand for.
func suggest(name string, known []string) string {
	if len(known) == 0 {
		return "; there are none"
	}
	type candidate struct {
		name     string
		distance int
	}
	var near []candidate
	for _, k := range known {
		d := distance(strings.ToLower(name), strings.ToLower(k))
		if k == otherNames(name) {
			d = 0
		}
		near = append(near, candidate{k, d})
	}
	slices.SortStableFunc(near, func(a, b candidate) int { return a.distance - b.distance })
	if near[0].distance > max(2, len(name)/3) {
		return "; known are " + enumerate(known, "and", 24)
	}
	var names []string
	for _, c := range near[:min(len(near), 3)] {
		if c.distance == near[0].distance {
			names = append(names, c.name)
		}
	}
	return fmt.Sprintf("; did you mean %s?", enumerate(names, "or", 3))
}

// enumerate joins up to limit names: "a, b or c".
func enumerate(names []string, word string, limit int) string {
	if n := len(names); n > limit {
		return fmt.Sprintf("%s %s %d more", strings.Join(names[:limit], ", "), word, n-limit)
	}
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " " + word + " " + names[len(names)-1]
}

// distance is the number of inserted, removed, changed and swapped letters.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64 // nobody mistypes that much
	}
	before, row := make([]int, len(b)+1), make([]int, len(b)+1)
	next := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range a {
		next[0] = i + 1
		for j := range b {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			next[j+1] = min(next[j]+1, row[j+1]+1, row[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row, next = row, next, before
	}
	return row[len(b)]
}
