package campaign

import (
	"bytes"
	"strconv"
)

// ThinPlot makes a table of lines, such as plot.csv, small enough for limit bytes. The first
// column is a time in seconds. Nothing changes as long as the table is within the limit; else
// lines go that are close to the one before, evenly over all of the time, until three
// quarters of the limit are left. So the table goes back to the start for ever, in less and
// less detail, and is not made anew with each line. The first line, which names columns,
// and the last one stay, whatever the limit. What it returns may share memory with table. A
// limit of 0 means none.
func ThinPlot(table []byte, limit int64) []byte {
	if limit <= 0 || int64(len(table)) <= limit {
		return table
	}
	header, rest := cutLine(table)
	var lines []plotLine
	for len(rest) > 0 {
		var text []byte
		text, rest = cutLine(rest)
		column, _, _ := bytes.Cut(text, []byte(","))
		at, _ := strconv.ParseInt(string(bytes.TrimSpace(column)), 10, 64)
		lines = append(lines, plotLine{text, at})
	}
	// The distance ends it: no two times of 63 bits are farther apart.
	for apart := int64(2); apart > 0 && sizeOf(header, lines) > limit/4*3 && len(lines) > 1; apart *= 2 {
		lines = thin(lines, apart)
	}
	thinned := append([]byte(nil), header...)
	for _, line := range lines {
		thinned = append(thinned, line.text...)
	}
	return thinned
}

// plotLine is a line, with its end, and its time.
type plotLine struct {
	text []byte
	at   int64
}

// thin leaves out lines that are less than apart behind the one that is kept before, but not
// the last one. Where the clock was set back, time goes on from there.
func thin(lines []plotLine, apart int64) []plotLine {
	kept := lines[:1]
	for i, line := range lines[1:] {
		before := kept[len(kept)-1].at
		if line.at < before || uint64(line.at)-uint64(before) >= uint64(apart) || i == len(lines)-2 {
			kept = append(kept, line)
		}
	}
	return kept
}

func sizeOf(header []byte, lines []plotLine) int64 {
	n := int64(len(header))
	for _, line := range lines {
		n += int64(len(line.text))
	}
	return n
}

// cutLine cuts the first line off, with its end.
func cutLine(table []byte) (line, rest []byte) {
	n := bytes.IndexByte(table, '\n') + 1
	if n == 0 {
		n = len(table)
	}
	return table[:n:n], table[n:]
}
