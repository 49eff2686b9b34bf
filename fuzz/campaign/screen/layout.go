package screen

// section is a part of the screen: a title and lines below it.
type section struct {
	title string
	lines []string
	// least is how many of the lines have to be there for the section to make sense.
	least int
	// focus is the index of a line that is among those that are shown.
	focus int
	// share is how many of the lines at most come before sections behind it get any
	// beyond their least; 0 means all.
	share int
}

// lay fits sections, the more important ones first, into height lines of a screen. A
// section that has no room for its title and its least is left out. What room is left goes
// to the shares in that order, and then to whoever has more to show.
func lay(sections []section, height int) []string {
	rows := make([]int, len(sections)) // of each, without title; -1 is left out
	for i, s := range sections {
		rows[i] = -1
		if need := 1 + min(s.least, len(s.lines)); need <= height {
			rows[i] = need - 1
			height -= need
		}
	}
	grow := func(i, limit int) {
		if rows[i] >= 0 {
			more := min(max(min(limit, len(sections[i].lines))-rows[i], 0), height)
			rows[i] += more
			height -= more
		}
	}
	for i, s := range sections {
		limit := s.share
		if limit == 0 {
			limit = len(s.lines)
		}
		grow(i, limit)
	}
	for i, s := range sections {
		grow(i, len(s.lines))
	}
	var lines []string
	for i, s := range sections {
		if rows[i] >= 0 {
			lines = append(append(lines, s.title), window(s.lines, s.focus, rows[i])...)
		}
	}
	return lines
}

// window returns n of the lines, so that the one at index at is among them.
func window(all []string, at, n int) []string {
	if n >= len(all) {
		return all
	}
	from := min(max(at-n/2, 0), len(all)-n)
	return all[from : from+max(n, 0)]
}
