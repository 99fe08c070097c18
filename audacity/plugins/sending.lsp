;; Shared by Tweeze Send and Tweeze Collect, which know each other's jobs by their ids.
(setf tweeze-mixtures "@MIXTURES@/")

(defun tweeze-channels () (if (arrayp *track*) (length *track*) 1))

;; What an id begins with: where the selection starts, its frames, rate and channels, and the track's
;; place among the selected ones. A copy of the track has them, too.
(defun tweeze-prefix ()
  (format nil "ny-~a-~a-~a-~a-~a-"
    (truncate (+ 0.5 (* (get '*selection* 'start) *sound-srate*)))
    (truncate len)
    (truncate *sound-srate*)
    (tweeze-channels)
    (get '*track* 'index)))

;; The time now as 16 digits, so that the later of two moments is the greater text.
(defun tweeze-moment ()
  (let* ((now (get-real-time)) (whole (truncate now)))
    (strcat (format nil "~a" whole)
      (subseq (format nil "~a" (+ 1000000 (truncate (* 1000000 (- now whole))))) 1))))

(defun tweeze-one-line (text)
  (let ((line ""))
    (dotimes (at (length text) line)
      (setf line
        (strcat line
          (if (< (char-code (char text at)) 32) " " (string (char text at))))))))

;; The fields of a job that a text stands for: its parts between semicolons, without those that are
;; blank. What follows a minus is not wanted, where nothing, a blank or a semicolon stands before it;
;; within a word it is a hyphen.
(defun tweeze-sounds (text key)
  (let ((fields nil) (sound "") (kind key) (before #\;) (size (length text)))
    (dotimes (at (1+ size))
      (let ((this (if (< at size) (char text at) #\;)))
        (cond
          ((or (char= this #\;) (and (char= this #\-) (member before '(#\; #\Space))))
            (if (string/= (string-trim " " sound) "")
              (setf fields (cons (list kind (tweeze-one-line (string-trim " " sound))) fields)))
            (setf sound "" kind (if (char= this #\;) key "not")))
          (t (setf sound (strcat sound (string this)))))
        (setf before this)))
    (reverse fields)))

;; Whether a sound file has so many frames; looks at its header alone.
(defun tweeze-is-whole (path frames)
  (and
    (tweeze-exists path)
    (s-read path)
    (< (abs (- (* (nth 6 *rslt*) *sound-srate*) frames)) 0.5)))

(defun tweeze-exists (path)
  (let ((fp (open path)))
    (when fp (close fp) t)))

;; What one run has said is known to the run for its next track.
(defun tweeze-was-told ()
  (and (> (get '*track* 'index) 1) (eq (get '*scratch* 'tweeze-told) t)))
(defun tweeze-told () (putprop '*scratch* t 'tweeze-told))
(if (= (get '*track* 'index) 1) (putprop '*scratch* nil 'tweeze-told))
