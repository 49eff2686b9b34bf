package web

import (
	"time"

	"github.com/bpffuzz/bpffuzz/fuzz/campaign"
)

// age is how many inputs of a corpus came in a time.
type age struct {
	Name   string
	Inputs int
	Share  int // of the most, in twentieths, rounded up
}

// corpusAges says when the inputs of a corpus came, the youngest first, as far as the
// target's points tell. What was there at the first point comes last: seeds, and what
// earlier runs found.
func corpusAges(points []campaign.Point) []age {
	if len(points) == 0 {
		return nil
	}
	limits := []time.Duration{time.Minute, 10 * time.Minute, time.Hour, 6 * time.Hour, 24 * time.Hour, 1<<63 - 1}
	ages := []age{
		{Name: "last minute"},
		{Name: "1 to 10 minutes ago"},
		{Name: "10 to 60 minutes ago"},
		{Name: "1 to 6 hours ago"},
		{Name: "6 to 24 hours ago"},
		{Name: "a day ago or more"},
	}
	now, oldest, most, rest := points[len(points)-1].At, 0, points[0].Corpus, points[len(points)-1].Corpus
	for _, p := range points[1:] {
		// A corpus may get smaller, when its inputs are chosen anew.
		more := min(max(p.Corpus-most, 0), rest)
		most, rest = max(most, p.Corpus), rest-more
		for j, limit := range limits {
			if now-p.At < limit {
				ages[j].Inputs += more
				oldest = max(oldest, j)
				break
			}
		}
	}
	return shared(append(ages[:oldest+1], age{Name: "at the start", Inputs: rest}))
}

func shared(ages []age) []age {
	most := 1
	for _, a := range ages {
		most = max(most, a.Inputs)
	}
	for i := range ages {
		ages[i].Share = (20*ages[i].Inputs + most - 1) / most
	}
	return ages
}
