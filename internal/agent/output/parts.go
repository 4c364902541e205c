package output

// Limits of S3 and how parts are cut for them. A part is a file on disk first.
const (
	// firstPart is the size of the first parts, and what an output may have to go
	// up in one request. It is small, so that a broken connection repeats little,
	// and every partStep parts the next ones are firstPart larger: that way
	// maxParts carry more than the 5 TiB that an object may have.
	firstPart = 8 << 20
	partStep  = 75
	// leastPart is the smallest part that S3 takes, but for the last one.
	leastPart = 5 << 20
	maxParts  = 10_000
)

// partSize is the size of the n-th part, from 1, where limit bytes may lie on
// disk. A quarter of these is the most: while one part goes up others fill. With
// the default limit of 1 GiB that makes 2 TiB for an object.
func partSize(n int, limit int64) int64 {
	size := int64(firstPart) * int64(1+(n-1)/partStep)
	return min(size, max(limit/4, leastPart))
}
