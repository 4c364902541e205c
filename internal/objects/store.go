package objects

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"

	"ssmrun"
)

// regionAttr is the attribute of a bucket that holds its region, beside the
// gateway's own, so that it comes and goes with the bucket.
const regionAttr = "ssmrun-region"

// store is versitygw's file store with what it lacks: buckets have regions, and
// what was acknowledged is on the disk.
type store struct {
	backend.Backend // *posix.Posix

	root    string // buckets
	sidecar string // attributes, where the file system takes none; else ""
	attrs   meta.MetadataStorer
	owner   string
	regions []string
	fsync   func(*os.File) error
	log     *slog.Logger
	kept    keptDirs

	// creating makes a bucket and its region one step for those who ask for the region.
	creating sync.RWMutex
}

// openStore opens the objects below cfg.Dir. It changes the working directory of
// the process to Dir/buckets.
func openStore(cfg Config) (*store, error) {
	s := &store{
		root:    filepath.Join(cfg.Dir, "buckets"),
		owner:   cfg.AccountID,
		regions: cfg.Regions,
		fsync:   cfg.fsync,
		log:     cfg.Logger,
	}
	if err := os.MkdirAll(s.root, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder for objects: %w", err)
	}
	for _, dir := range []string{cfg.Dir, filepath.Dir(cfg.Dir)} { // they may be new
		if err := s.syncOne(dir); err != nil {
			return nil, err
		}
	}
	if err := s.chooseAttributes(filepath.Join(cfg.Dir, "attributes")); err != nil {
		return nil, err
	}
	opts := posix.PosixOpts{
		ValidateBucketNames: true,
		CopyObjectThreshold: 5 << 30, // S3's; left out it is 0 and every copy is refused
	}
	opts.SetNewDirPerm(0o700)
	opts.SetNewFilePerm(0o600)
	files, err := posix.New(s.root, s.attrs, opts)
	if err != nil {
		return nil, fmt.Errorf("open the folder for objects: %w", err)
	}
	s.Backend = files
	if err := s.removeHalfBuckets(); err != nil {
		files.Shutdown()
		return nil, err
	}
	return s, nil
}

// chooseAttributes keeps the attributes of objects with the files where the file
// system allows it: then they are put into place and synced in one with the
// object. Elsewhere (tmpfs before Linux 6.6, some network file systems) they are
// files of their own in dir. Where dir is there the choice was made before.
func (s *store) chooseAttributes(dir string) error {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		probe, err := os.CreateTemp(s.root, ".probe-")
		if err != nil {
			return fmt.Errorf("try the folder for objects: %w", err)
		}
		storer := meta.XattrMeta{}
		attrErr := storer.StoreAttribute(probe, "", "", "ssmrun-probe", []byte("1"))
		if err := errors.Join(probe.Close(), os.Remove(probe.Name())); err != nil {
			return fmt.Errorf("try the folder for objects: %w", err)
		}
		if attrErr == nil {
			s.attrs = storer
			return nil
		}
		s.log.Info("the file system takes no extended attributes; those of objects are kept as files", "dir", dir, "reason", attrErr)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the folder for attributes: %w", err)
	}
	sidecar, err := meta.NewSideCar(dir)
	if err != nil {
		return fmt.Errorf("open the folder for attributes: %w", err)
	}
	s.sidecar, s.attrs = dir, sidecar
	return nil
}

// removeHalfBuckets removes what a kill in the middle of making a bucket left: a
// directory without the attributes of a bucket, which could neither be used nor made
// again. Only empty ones are removed, so nothing is ever lost.
func (s *store) removeHalfBuckets() error {
	entries, err := os.ReadDir(s.root)
	if err != nil {
		return fmt.Errorf("read the folder for objects: %w", err)
	}
	for _, e := range entries {
		if !e.IsDir() || ssmrun.CheckBucketName(e.Name()) != nil {
			continue
		}
		if _, err := s.attrs.RetrieveAttribute(nil, e.Name(), "", "acl"); !errors.Is(err, meta.ErrNoSuchKey) {
			continue
		}
		if err := os.Remove(filepath.Join(s.root, e.Name())); err == nil {
			s.log.Info("removed a bucket that was only half made", "bucket", e.Name())
		}
	}
	return nil
}

// region gives the region of a bucket, "" where there is no such bucket.
func (s *store) region(bucket string) string {
	if ssmrun.CheckBucketName(bucket) != nil { // it comes from the network and becomes a path
		return ""
	}
	s.creating.RLock()
	defer s.creating.RUnlock()
	if fi, err := os.Stat(filepath.Join(s.root, bucket)); err != nil || !fi.IsDir() {
		return ""
	}
	if region, err := s.attrs.RetrieveAttribute(nil, bucket, "", regionAttr); err == nil {
		return string(region)
	}
	return s.regions[0]
}

// ensureBucket makes a bucket that is not there yet.
func (s *store) ensureBucket(ctx context.Context, name, region string) error {
	if s.region(name) == "" {
		acl, err := json.Marshal(auth.ACL{Owner: s.owner})
		if err != nil {
			return fmt.Errorf("encode the bucket's access list: %w", err)
		}
		err = s.createBucket(ctx, region, &s3.CreateBucketInput{
			Bucket:                    &name,
			ObjectOwnership:           types.ObjectOwnershipBucketOwnerEnforced,
			CreateBucketConfiguration: &types.CreateBucketConfiguration{},
		}, acl)
		var coded s3err.S3Error
		faster := errors.As(err, &coded) && strings.HasPrefix(coded.BaseError().Code, "BucketAlready") // somebody else
		if err != nil && !faster {
			return fmt.Errorf("make bucket %s: %w", name, err)
		}
	}
	if at := s.region(name); at != region {
		return fmt.Errorf("bucket %s is already there, in region %s instead of %s: choose another name, or that region", name, at, region)
	}
	return nil
}

func (s *store) createBucket(ctx context.Context, region string, in *s3.CreateBucketInput, acl []byte) error {
	s.creating.Lock()
	defer s.creating.Unlock()
	if err := s.Backend.CreateBucket(ctx, in, acl); err != nil {
		return err
	}
	if err := s.attrs.StoreAttribute(nil, *in.Bucket, "", regionAttr, []byte(region)); err != nil {
		return fmt.Errorf("store the bucket's region: %w", err)
	}
	return s.syncObject(*in.Bucket, "")
}

// regional is the store as the gateway of one region sees it.
type regional struct {
	*store
	name string
}

// CreateBucket makes a bucket in the gateway's region.
func (r regional) CreateBucket(ctx context.Context, in *s3.CreateBucketInput, acl []byte) error {
	return r.coded("make bucket", *in.Bucket, "", r.createBucket(ctx, r.name, in, acl))
}

// PutObject stores an object and returns when it is on the disk.
func (s *store) PutObject(ctx context.Context, in s3response.PutObjectInput) (s3response.PutObjectOutput, error) {
	in.Body = whole(in.Body, in.ContentLength)
	out, err := s.Backend.PutObject(ctx, in)
	if err == nil {
		err = s.syncObject(*in.Bucket, *in.Key)
	}
	return out, s.coded("store object", deref(in.Bucket), deref(in.Key), err)
}

// CopyObject copies an object and returns when the copy is on the disk.
func (s *store) CopyObject(ctx context.Context, in s3response.CopyObjectInput) (s3response.CopyObjectOutput, error) {
	out, err := s.Backend.CopyObject(ctx, in)
	if err == nil {
		err = s.syncObject(*in.Bucket, *in.Key)
	}
	return out, s.coded("copy object", deref(in.Bucket), deref(in.Key), err)
}

// UploadPart stores a part. It is not synced: the object made of the parts is.
func (s *store) UploadPart(ctx context.Context, in *s3.UploadPartInput) (*s3.UploadPartOutput, error) {
	in.Body = whole(in.Body, in.ContentLength)
	out, err := s.Backend.UploadPart(ctx, in)
	return out, s.coded("store part", deref(in.Bucket), deref(in.Key), err)
}

// CompleteMultipartUpload makes an object of its parts and returns when it is on the disk.
func (s *store) CompleteMultipartUpload(ctx context.Context, in *s3.CompleteMultipartUploadInput) (s3response.CompleteMultipartUploadResult, string, error) {
	out, version, err := s.Backend.CompleteMultipartUpload(ctx, in)
	if err == nil {
		err = s.syncObject(*in.Bucket, *in.Key)
	}
	return out, version, s.coded("complete upload", deref(in.Bucket), deref(in.Key), err)
}

// DeleteObject deletes an object.
func (s *store) DeleteObject(ctx context.Context, in *s3.DeleteObjectInput) (*s3.DeleteObjectOutput, error) {
	defer s.kept.forget()
	return s.Backend.DeleteObject(ctx, in)
}

// DeleteObjects deletes objects.
func (s *store) DeleteObjects(ctx context.Context, in *s3.DeleteObjectsInput) (s3response.DeleteResult, error) {
	defer s.kept.forget()
	return s.Backend.DeleteObjects(ctx, in)
}

// DeleteBucket deletes an empty bucket.
func (s *store) DeleteBucket(ctx context.Context, bucket string) error {
	defer s.kept.forget()
	return s.Backend.DeleteBucket(ctx, bucket)
}

// coded passes S3's own errors on and logs any other, which the gateway would
// print to standard error.
func (s *store) coded(what, bucket, key string, err error) error {
	var coded s3err.S3Error
	if err == nil || errors.As(err, &coded) {
		return err
	}
	if errors.Is(err, errCutOff) || errors.Is(err, io.ErrUnexpectedEOF) { // the client went away
		s.log.Debug("a request was cut off", "while", what, "bucket", bucket, "key", key, "error", err)
		return s3err.GetAPIError(s3err.ErrIncompleteBody)
	}
	s.log.Warn("a request failed inside", "while", what, "bucket", bucket, "key", key, "error", err)
	return s3err.GetAPIError(s3err.ErrInternalError)
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
