;; Shared by Tweeze's plug-ins; the installer puts it into each of them, with the spool's path.
;; A plug-in only reads and writes small files and returns at once: Audacity stays free.
(setf *float-format* "%.6f")
(setf tweeze-spool "@SPOOL@/")

;; The engine rewrites its sign of life every second; an old one is that of an engine that died.
(defun tweeze-alive ()
  (let ((fp (open (strcat tweeze-spool "engine"))) (beat 0))
    (when fp
      (do ((line (read-line fp) (read-line fp))) ((null line))
        (when (and (> (length line) 5) (string= (subseq line 0 5) "time="))
          (setf beat (read (make-string-input-stream (subseq line 5))))))
      (close fp))
    (< (abs (- (get-real-time) beat)) 10)))

;; One sentence if nothing can be done, else nil.
(defun tweeze-trouble (needs-selection)
  (cond
    ((not (tweeze-alive))
      "The Tweeze engine is not running: run 'tweeze start' in a terminal, and try again.")
    ((not needs-selection) nil)
    ((null (get '*selection* 'tracks))
      "Nothing is selected: mark a range of time on an audio track, and try again.")
    ((not (> (get '*selection* 'end) (get '*selection* 'start)))
      "Nothing is selected: mark a range of time, not a single point, and try again.")))

;; Writes a request for the engine; nil (no message, no undo step) if that went well.
(defun tweeze-request (fields)
  (let* ((now (get-real-time))
         (whole (truncate now))
         (id (format nil "a~a-~a" whole (truncate (* 1000000 (- now whole)))))
         (fp (open (strcat tweeze-spool "requests/" id) :direction :output)))
    (cond
      ((null fp) "Tweeze cannot write to its folder: run 'tweeze doctor' in a terminal.")
      (t
        (format fp "tweeze=1~%id=~a~%host=audacity~%" id)
        (dolist (field fields) (format fp "~a=~a~%" (car field) (cadr field)))
        (format fp "end~%")
        (close fp)
        nil))))
