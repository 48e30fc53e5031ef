def test_scene_first(scene):
    import slicer
    assert not hasattr(slicer, "app")
    slicer.util.addVolumeFromArray(__import__("numpy").zeros((2,3,4)))

def test_host(host, tmp_path):
    import slicer, shutil
    (tmp_path/"JobDemo.py").write_text(open("/work/shared/prototype/demo/JobDemo.py").read())
    (tmp_path/"JobRunner.py").write_text(open("/work/shared/prototype/demo/JobRunner.py").read())
    (tmp_path/"job.py").write_text(open("/work/shared/prototype/demo/job.py").read())
    w = host.loadModule(str(tmp_path/"JobDemo.py"))
    host.runTests("JobDemo")
    host.screenshot("/tmp/h5_panel.png")
    host.desktop("/tmp/h5_desktop.png")

def test_scene(scene):
    import slicer
    assert not hasattr(slicer, "app")
    assert scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")==0
